-- What lists of several years say of each code ever given to a commune, and where that leads today. A part points to
-- its commune and a commune merged away to the one that took it, which may have been merged again: the links are
-- followed until they end.
with recursive

communes as (

    select * from {{ ref('stg_cog__communes') }}

),

historique as (

    select * from {{ ref('stg_cog__historique') }}

),

fusions as (

    select * from {{ ref('stg_fusions__communes') }}

),

told as (

    select
        commune_code,
        commune_kind,
        commune_name,
        parent_commune_code,
        cog_year,
        true as is_cog
    from communes
    union all
    select
        commune_code,
        commune_kind,
        commune_name,
        parent_commune_code,
        cog_year,
        true as is_cog
    from historique
    union all
    -- a list of mergers speaks of the COG of the year after, and knows no more of it than these
    select
        commune_code,
        'FORMER' as commune_kind,
        commune_name,
        new_commune_code as parent_commune_code,
        list_year + 1 as cog_year,
        false as is_cog
    from fusions
    where new_commune_code <> commune_code

),

dated as (

    select
        *,
        is_cog and cog_year = max(cog_year) filter (where is_cog) over () as is_current
    from told
    where commune_code is not null

),

-- A code can name a commune in one year and a part of another in the next, or both at once: the newest year speaks,
-- and within it the commune comes before its parts, and whatever lives on before what is told to be gone.
newest as (

    select
        *,
        is_current and commune_kind = 'COM' as is_commune_today
    from dated
    qualify row_number() over (
        partition by commune_code
        order by
            is_current desc,
            cog_year desc,
            list_position(['COM', 'ARM', 'COMD', 'COMA', 'RECODED', 'FORMER'], commune_kind) asc nulls last,
            parent_commune_code asc
    ) = 1

),

links as (

    select
        newest.commune_code,
        parents.commune_code as next_code
    from newest
    inner join newest as parents on newest.parent_commune_code = parents.commune_code
    where not newest.is_commune_today and parents.commune_code <> newest.commune_code

),

chains as (

    select
        commune_code,
        commune_code as reached_code,
        [commune_code] as passed
    from newest
    union all
    select
        chains.commune_code,
        links.next_code as reached_code,
        list_append(chains.passed, links.next_code) as passed
    from chains
    inner join links on chains.reached_code = links.commune_code
    where not list_contains(chains.passed, links.next_code)

),

ends as (

    select
        commune_code,
        reached_code
    from chains
    qualify row_number() over (partition by commune_code order by length(passed) desc) = 1

),

resolved as (

    select
        newest.commune_code,
        newest.commune_name,
        newest.commune_kind,
        -- links that turn in a circle, or end where no list knows more, lead nowhere: the code stands for itself
        case
            when reached.is_commune_today or links.commune_code is null then reached.commune_code
            else newest.commune_code
        end as commune_key,
        case
            when newest.is_commune_today then 'commune'
            when reached.is_commune_today and newest.is_current then 'part'
            when reached.is_commune_today then 'former'
            else 'lost'
        end as commune_relation,
        newest.cog_year,
        newest.is_current
    from newest
    inner join ends on newest.commune_code = ends.commune_code
    inner join newest as reached on ends.reached_code = reached.commune_code
    left join links on ends.reached_code = links.commune_code

),

-- what a fact points to when its commune is in no list: overseas collectivities, mistyped or missing codes
unknown_member as (

    select
        '00000' as commune_code,
        'Commune inconnue' as commune_name,
        'UNKNOWN' as commune_kind,
        '00000' as commune_key,
        'unknown' as commune_relation,
        null::integer as cog_year,
        false as is_current

),

final as (

    select * from resolved
    union all
    select * from unknown_member

)

select * from final
order by commune_code
