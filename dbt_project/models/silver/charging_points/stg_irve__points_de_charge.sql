with

final as (

    {{ latest_extraction(ref('base_irve__points_de_charge')) }}

)

select * from final
