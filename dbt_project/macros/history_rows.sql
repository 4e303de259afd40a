{#-
    Every state a bronze table's rows were in, by extraction (a type 2 dimension): the bronze columns, then
    valid_from (the extraction that first told it), valid_to (the one that told otherwise, or no longer told it; NULL
    while it is current) and is_current. Neighbours that say the same are one row.
    A row is followed by its resource and keys; for upsert by its keys alone, and nothing is ever deleted; without keys
    by its content, so that a change is an end and a beginning.
-#}
{% macro history_rows(relation, keys=[], mode='overwrite') -%}
    {%- set lineage = ['_resource_id', '_extraction_date', '_source_file', '_source_member', '_source_line'] -%}
    {%- set followed = keys if keys and mode == 'upsert' else ['_resource_id'] + (keys or ['_content', '_copy']) -%}
    {%- set followed = followed | join(', ') -%}
    select
        * exclude (_replaced_on, _content, _copy, _ended, _begins, _state),
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
                {%- if keys and mode == 'upsert' %}
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
                        partition by _resource_id, _extraction_date, {{ (keys or ['_content']) | join(', ') }}
                        order by _source_member desc nulls last, _source_line desc
                    ) as _copy
                from (
                    select
                        *,
                        hash(*columns(* exclude ({{ lineage | join(', ') }}, _loaded_at, _replaced_on))) as _content
                    from {{ relation }}
                    {%- if keys %}
                    where {{ has_key(keys) }}
                    {%- endif %}
                ) as told
                {%- if keys and mode == 'upsert' %}
                qualify row_number() over (
                    partition by _extraction_date, {{ keys | join(', ') }}
                    order by {{ row_order(mode) }}
                ) = 1
                {%- elif keys %}
                qualify _copy = 1
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
