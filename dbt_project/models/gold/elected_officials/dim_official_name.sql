with recursive

told as (

    {{ told_mandates() }}

),

names as (

    select
        official_name_key,
        {{ name_key('last_name') }} as last_name_key,
        {{ name_key('first_name') }} as first_name_key,
        last_name,
        first_name,
        birth_date,
        min(valid_from) over (partition by official_name_key) as first_seen_on
    from told
    qualify row_number() over (
        partition by official_name_key
        order by is_current desc, valid_from desc, last_name asc, first_name asc
    ) = 1

),

ranked as (

    select
        *,
        row_number() over (order by first_seen_on, official_name_key) as seniority
    from names

),

seats as (

    select
        official_name_key,
        office,
        district_code,
        birth_date,
        coalesce(sex, '') as sex
    from told
    where birth_date is not null
    group by official_name_key, office, district_code, birth_date, coalesce(sex, '')

),

-- Half of those who seem to leave a seat between two files come back to it under another name: a married name, a
-- hyphen, a second first name. Who holds the same office in the same district, born on the same day, with a name in
-- common, is the same person.
pairs as (

    select distinct
        mine.official_name_key,
        other.official_name_key as other_key
    from seats
    inner join seats as other_seats
        on
            seats.office = other_seats.office
            and seats.district_code = other_seats.district_code
            and seats.birth_date = other_seats.birth_date
            and seats.sex = other_seats.sex
    inner join ranked as mine on seats.official_name_key = mine.official_name_key
    inner join ranked as other on other_seats.official_name_key = other.official_name_key
    where
        mine.official_name_key <> other.official_name_key
        and (
            mine.first_name_key = other.first_name_key
            or contains(mine.last_name_key, other.last_name_key)
            or contains(other.last_name_key, mine.last_name_key)
        )

),

reached as (

    select
        official_name_key,
        official_name_key as reached_key
    from ranked
    union
    select
        reached.official_name_key,
        pairs.other_key as reached_key
    from reached
    inner join pairs on reached.reached_key = pairs.official_name_key

),

-- A person's key is that of the first name seen, so that names to come change no key.
persons as (

    select
        reached.official_name_key,
        arg_min(reached.reached_key, ranked.seniority) as official_key
    from reached
    inner join ranked on reached.reached_key = ranked.official_name_key
    group by reached.official_name_key

),

final as (

    select
        ranked.official_name_key,
        persons.official_key,
        ranked.last_name,
        ranked.first_name,
        ranked.birth_date,
        ranked.first_seen_on
    from ranked
    inner join persons on ranked.official_name_key = persons.official_name_key

)

select * from final
order by official_name_key
