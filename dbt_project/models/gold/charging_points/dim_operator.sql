with

declarations as (

    select * from {{ ref('stg_irve__points_de_charge') }}

),

spellings as (

    select
        {{ name_key('operator_name') }} as operator_key,
        operator_name,
        count(*) as declaration_count
    from declarations
    where {{ name_key('operator_name') }} <> 'unknown'
    group by operator_key, operator_name

),

-- The spelling most declarations use names the operator.
operators as (

    select
        operator_key,
        operator_name
    from spellings
    qualify
        row_number() over (
            partition by operator_key
            order by declaration_count desc, operator_name asc
        ) = 1

),

unknown_member as (

    select
        'unknown' as operator_key,
        'Unknown' as operator_name

),

final as (

    select
        operator_key,
        operator_name,
        false as is_unknown
    from operators
    union all
    select
        operator_key,
        operator_name,
        true as is_unknown
    from unknown_member

)

select * from final
order by operator_key
