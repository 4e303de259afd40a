with

mandates as (

    select * from {{ ref('fct_mandate') }}

),

officials as (

    select * from {{ ref('dim_official') }}

),

departements as (

    select * from {{ ref('dim_departement') }}

),

-- The days on which the register was seen to have changed: a mandate came, or one was told no longer.
days as (

    select
        office,
        valid_from as observed_on
    from mandates
    union
    select
        office,
        valid_to as observed_on
    from mandates
    where valid_to is not null

),

held as (

    select
        days.office,
        days.observed_on,
        coalesce(mandates.departement_code, '00') as departement_code,
        officials.sex,
        date_sub('year', officials.birth_date, days.observed_on) as age_years
    from days
    inner join mandates
        on
            days.office = mandates.office
            and days.observed_on >= mandates.valid_from
            and (mandates.valid_to is null or days.observed_on < mandates.valid_to)
    inner join officials on mandates.official_key = officials.official_key

),

counted as (

    select
        office,
        observed_on,
        departement_code,
        count(*) as mandate_count,
        count(*) filter (where sex = 'F') as woman_count,
        count(*) filter (where sex = 'M') as man_count,
        avg(age_years)::double as mean_age_years,
        median(age_years)::double as median_age_years,
        count(*) filter (where age_years < 40) as under_40_count,
        count(*) filter (where age_years >= 60) as from_60_count
    from held
    group by office, observed_on, departement_code

),

final as (

    select
        counted.office,
        counted.observed_on,
        counted.departement_code,
        departements.departement_name,
        departements.region_code,
        departements.region_name,
        counted.mandate_count,
        counted.woman_count,
        counted.man_count,
        round(counted.woman_count / counted.mandate_count::double, 6) as woman_ratio,
        counted.mean_age_years,
        counted.median_age_years,
        counted.under_40_count,
        counted.from_60_count
    from counted
    left join departements on counted.departement_code = departements.departement_code

)

select * from final
order by office, observed_on, departement_code
