{#-
    Every state the rows of a bronze table were in, by extraction (a type 2 dimension): the columns of the relation, then
    valid_from (the extraction that first told it), valid_to (the one that told otherwise, or no longer told it; NULL
    while it is current) and is_current. Neighbours that say the same are one row.
    A row is followed by its resource and keys; for upsert by its keys alone, and nothing is ever deleted; a row without
    a whole key by its content, so that a change is an end and a beginning.
    relation: rows with their lineage and _replaced_on: a source, or a base model over it.
-#}
{% macro history_rows(relation, keys=[], mode='overwrite') -%}
    {%- set lineage = ['_resource_id', '_extraction_date', '_source_file', '_source_member', '_source_line'] -%}
    {%- set is_upsert = keys and mode == 'upsert' -%}
    {%- set followed = (keys if is_upsert else ['_resource_id'] + keys + ['_keyless', '_copy']) | join(', ') -%}
    select
        * exclude (_replaced_on, _content, _keyless, _copy, _ended, _begins, _state),
        _extraction_date as valid_from,
        nullif(max(coalesce(_ended, date 'infinity')) over (partition by {{ followed }}, _state), date 'infinity')
            as valid_to,
        valid_to is null as is_current
    from (
        select
            *,
            sum(_begins::integer) over (
                partition by {{ followed }}
                order by _extraction_date
            ) as _state
        from (
            select
                *,
                {%- if is_upsert %}
                lead(_extraction_date) over followed as _ended,
                coalesce(lag(_content) over followed <> _content, true) as _begins
                {%- else %}
                _replaced_on as _ended,
                coalesce(lag(_content) over followed <> _content, true)
                or coalesce(lag(_replaced_on) over followed <> _extraction_date, true) as _begins
                {%- endif %}
            from (
                select
                    *,
                    row_number() over (
                        partition by {{ (['_resource_id', '_extraction_date'] + keys + ['_keyless']) | join(', ') }}
                        order by _source_member desc nulls last, _source_line desc
                    ) as _copy
                from (
                    select
                        *,
                        {{ 'case when not ' ~ has_whole_key(keys) ~ ' then _content end' if keys else '_content' }}
                            as _keyless
                    from (
                        select
                            *,
                            hash(*columns(* exclude ({{ lineage | join(', ') }}, _loaded_at, _replaced_on)))
                                as _content
                        from {{ relation }}
                    ) as told
                    {%- if is_upsert %}
                    where {{ has_key(keys) }}
                    {%- endif %}
                ) as told
                {%- if is_upsert %}
                qualify row_number() over (
                    partition by _extraction_date, {{ keys | join(', ') }}
                    order by {{ row_order(mode) }}
                ) = 1
                {%- elif keys %}
                qualify _copy = 1 or _keyless is not null
                {%- endif %}
            ) as once
            window followed as (
                partition by {{ followed }}
                order by _extraction_date
            )
        ) as followed_rows
    ) as states
    qualify row_number() over (partition by {{ followed }}, _state order by _extraction_date) = 1
{%- endmacro %}

{#- Whether every part of a key is there. -#}
{% macro has_whole_key(keys) -%}
    ({% for key in keys %}coalesce({{ key }}::varchar, '') <> ''{{ ' and ' if not loop.last }}{% endfor %})
{%- endmacro %}
