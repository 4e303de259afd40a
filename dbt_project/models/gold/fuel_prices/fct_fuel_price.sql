with

prices as (

    select * from {{ ref('stg_carburants__prix') }}

),

-- One price for each station and fuel that a snapshot lists, should it ever list two: the later one.
listed as (

    select
        *,
        _extraction_date as snapshot_date
    from prices
    where station_id is not null and fuel_code is not null
    qualify row_number() over (
        partition by station_id, fuel_code, _extraction_date
        order by updated_at desc nulls last, _resource_id desc, _source_member desc nulls last, _source_line desc
    ) = 1

),

snapshots as (

    select distinct snapshot_date
    from listed

),

-- A snapshot speaks for its day and for the days after it until the next one is made.
spoken_days as (

    select
        snapshot_date,
        unnest(
            generate_series(
                snapshot_date,
                coalesce(lead(snapshot_date) over (order by snapshot_date) - 1, snapshot_date),
                interval 1 day
            )
        )::date as price_date
    from snapshots

),

-- What the station's next listing tells may date from the day itself: the price changed after the snapshot was made.
with_next as (

    select
        *,
        lead(updated_at) over listings as next_updated_at,
        lead(price_eur_per_litre) over listings as next_price_eur_per_litre,
        lead(_resource_id) over listings as next_resource_id,
        lead(_extraction_date) over listings as next_extraction_date,
        lead(_source_file) over listings as next_source_file,
        lead(_source_member) over listings as next_source_member,
        lead(_source_line) over listings as next_source_line
    from listed
    window listings as (partition by station_id, fuel_code order by snapshot_date)

),

daily as (

    select
        with_next.*,
        spoken_days.price_date,
        coalesce(
            with_next.next_updated_at::date <= spoken_days.price_date
            and with_next.next_price_eur_per_litre is not null
            and (
                with_next.updated_at is null
                or with_next.next_updated_at > with_next.updated_at
                or (
                    with_next.next_updated_at = with_next.updated_at
                    and with_next.next_price_eur_per_litre is distinct from with_next.price_eur_per_litre
                )
            ),
            false
        ) as is_told_later
    from with_next
    inner join spoken_days on with_next.snapshot_date = spoken_days.snapshot_date

),

final as (

    select
        station_id,
        fuel_code,
        price_date,
        case when is_told_later then next_price_eur_per_litre else price_eur_per_litre end as price_eur_per_litre,
        case when is_told_later then next_updated_at else updated_at end as updated_at,
        price_date - (case when is_told_later then next_updated_at else updated_at end)::date as days_since_update,
        snapshot_date,
        is_told_later,
        case when is_told_later then next_resource_id else _resource_id end as _resource_id,
        case when is_told_later then next_extraction_date else _extraction_date end as _extraction_date,
        case when is_told_later then next_source_file else _source_file end as _source_file,
        case when is_told_later then next_source_member else _source_member end as _source_member,
        case when is_told_later then next_source_line else _source_line end as _source_line
    from daily

)

select * from final
order by price_date, station_id, fuel_code
