with

codes as (

    select * from {{ ref('dim_commune_code') }}
    where commune_code = commune_key

),

communes as (

    select * from {{ ref('stg_cog__communes') }}

),

departements as (

    select * from {{ ref('dim_departement') }}

),

-- The COG names the departement, which no rule gives for sure: Saint-Barthélemy's codes begin as Guadeloupe's did.
located as (

    select
        commune_code,
        departement_code
    from communes
    where departement_code is not null
    qualify row_number() over (partition by commune_code order by cog_year desc) = 1

),

final as (

    select
        codes.commune_code,
        codes.commune_name,
        departements.departement_code,
        departements.departement_name,
        departements.region_code,
        departements.region_name,
        codes.cog_year,
        codes.is_current
    from codes
    left join located on codes.commune_code = located.commune_code
    left join departements
        on
            departements.departement_code = coalesce(
                located.departement_code, {{ departement_code_of_commune('codes.commune_code') }}
            )

)

select * from final
order by commune_code
