with

communes as (

    select * from {{ ref('stg_cog__communes') }}

),

departements as (

    select * from {{ ref('dim_departement') }}

),

-- A code can name a commune in one year and a part of another in the next, or both at once: the newest year speaks,
-- and within it the commune comes before its parts.
newest as (

    select
        *,
        cog_year = max(cog_year) over () as is_current
    from communes
    where commune_code is not null
    qualify row_number() over (
        partition by commune_code
        order by cog_year desc, list_position(['COM', 'ARM', 'COMD', 'COMA'], commune_kind) asc nulls last
    ) = 1

),

located as (

    select
        newest.commune_code,
        newest.commune_name,
        newest.commune_kind,
        coalesce(newest.parent_commune_code, newest.commune_code) as parent_commune_code,
        coalesce(parents.commune_name, newest.commune_name) as parent_commune_name,
        departements.departement_code,
        departements.departement_name,
        departements.region_code,
        departements.region_name,
        newest.cog_year,
        newest.is_current
    from newest
    left join newest as parents on newest.parent_commune_code = parents.commune_code
    -- parts of communes carry no departement, but every code begins with one
    left join departements
        on
            departements.departement_code = coalesce(
                newest.departement_code,
                left(newest.commune_code, case when left(newest.commune_code, 2) = '97' then 3 else 2 end)
            )

),

-- what a fact points to when its commune is not in the COG: overseas collectivities, mistyped or missing codes
unknown_member as (

    select
        '00000' as commune_code,
        'Commune inconnue' as commune_name,
        'UNKNOWN' as commune_kind,
        '00000' as parent_commune_code,
        'Commune inconnue' as parent_commune_name,
        null::varchar as departement_code,
        null::varchar as departement_name,
        null::varchar as region_code,
        null::varchar as region_name,
        null::integer as cog_year,
        false as is_current

),

final as (

    select * from located
    union all
    select * from unknown_member

)

select * from final
order by commune_code
