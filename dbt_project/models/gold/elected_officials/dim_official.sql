with

told as (

    {{ told_mandates() }}

),

names as (

    select * from {{ ref('dim_official_name') }}

),

keyed as (

    select
        told.*,
        names.official_key
    from told
    inner join names on told.official_name_key = names.official_name_key

),

-- As the newest file writes the person; the order of the rest decides between equals.
final as (

    select
        official_key,
        last_name,
        first_name,
        sex,
        birth_date,
        occupation_name,
        bool_or(is_current) over (partition by official_key) as is_current,
        min(valid_from) over (partition by official_key) as first_seen_on
    from keyed
    qualify row_number() over (
        partition by official_key
        order by is_current desc, valid_from desc, sex asc nulls last, occupation_name asc nulls last, last_name asc
    ) = 1

)

select * from final
order by official_key
