with

departements as (

    select * from {{ ref('dim_departement') }}

),

told as (

    {{ told_mandates() }}

),

names as (

    select * from {{ ref('dim_official_name') }}

),

keyed as (

    select
        told.*,
        names.official_key,
        {{ function_kind('told.function_label') }} as function_kind,
        coalesce(told.mandate_start_date, date '1900-01-01') as sortable_start_date,
        coalesce(told.valid_to, date '9999-12-31') as sortable_valid_to
    from told
    inner join names on told.official_name_key = names.official_name_key

),

-- Files correct the day a mandate began (2 April 2015, the council's first meeting, became 29 March, the vote): starts
-- within 31 days of the one before are one mandate.
started as (

    select
        *,
        coalesce(
            sortable_start_date > 31 + lag(sortable_start_date) over (
                partition by official_key, office, district_code
                order by sortable_start_date
            ),
            true
        ) as is_new_mandate
    from keyed

),

numbered as (

    select
        *,
        sum(is_new_mandate::integer) over (
            partition by official_key, office, district_code
            order by sortable_start_date
            range between unbounded preceding and current row
        ) as mandate_number
    from started

),

spans as (

    select
        official_key,
        office,
        district_code,
        mandate_number,
        min(valid_from) as valid_from,
        nullif(max(sortable_valid_to), date '9999-12-31') as valid_to,
        bool_or(is_current) as is_current,
        count(*) as told_count,
        count(distinct function_label) as function_count
    from numbered
    group by official_key, office, district_code, mandate_number

),

-- The newest state speaks; of several functions in it, one that has not ended, then the highest.
newest as (

    select *
    from numbered
    qualify row_number() over (
        partition by official_key, office, district_code, mandate_number
        order by
            sortable_valid_to desc,
            valid_from desc,
            function_end_date asc nulls first,
            list_position(['president', 'vice_president', 'commission', 'other'], function_kind) asc nulls last,
            function_start_date desc nulls last,
            function_label asc
    ) = 1

),

final as (

    select
        md5(
            concat_ws(
                '|',
                spans.official_key,
                spans.office,
                coalesce(spans.district_code, ''),
                coalesce(newest.mandate_start_date::varchar, '')
            )
        ) as mandate_key,
        spans.official_key,
        spans.office,
        spans.district_code,
        newest.district_name,
        departements.departement_code as departement_key,
        newest.departement_code,
        newest.mandate_start_date,
        newest.function_kind,
        newest.function_label,
        newest.function_start_date,
        newest.function_end_date,
        spans.function_count,
        newest.political_label_code,
        newest.political_label_name,
        spans.valid_from,
        spans.valid_to,
        spans.is_current,
        spans.told_count
    from spans
    inner join newest
        on
            spans.official_key = newest.official_key
            and spans.office = newest.office
            and spans.district_code is not distinct from newest.district_code
            and spans.mandate_number = newest.mandate_number
    left join departements on newest.departement_code = departements.departement_code

)

select * from final
order by office, district_code, mandate_start_date, official_key
