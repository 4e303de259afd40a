-- The two marts count the same prices, which are the fact's; and compare each as often.

with

facts as (

    select
        count(prices.price_eur_per_litre) as price_count,
        count(previous.price_eur_per_litre) filter (where prices.price_eur_per_litre is not null) as compared_count
    from {{ ref('fct_fuel_price') }} as prices
    left join {{ ref('fct_fuel_price') }} as previous
        on
            prices.station_id = previous.station_id
            and prices.fuel_code = previous.fuel_code
            and prices.price_date = previous.price_date + 1

),

marts as (

    {% for mart in ['mart_fuel_price_departement', 'mart_fuel_price_day'] %}
    select
        '{{ mart }}' as mart,
        coalesce(sum(station_count), 0) as price_count,
        coalesce(sum(compared_station_count), 0) as compared_count
    from {{ ref(mart) }}
    {{ "union all" if not loop.last }}
    {% endfor %}

)

select
    marts.mart,
    marts.price_count,
    facts.price_count as fact_price_count,
    marts.compared_count,
    facts.compared_count as fact_compared_count
from marts
cross join facts
where marts.price_count <> facts.price_count or marts.compared_count <> facts.compared_count
