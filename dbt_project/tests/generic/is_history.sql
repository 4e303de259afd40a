{#-
    States follow one another: none ends before it begins, no two of one record overlap (so none has two current ones,
    nor two that begin on one day), and every row of the live model is a current state.
    keys: columns by which a record is followed; rows without a whole key, and tables without keys, are followed by
    their content.
-#}
{% test is_history(model, live, keys=[]) %}
    {%- set lineage = '_resource_id, _extraction_date, _source_file, _source_member, _source_line, _loaded_at' %}
    select 'a state that ends before it begins' as problem, count(*) as row_count
    from {{ model }}
    where valid_to <= valid_from or is_current <> (valid_to is null)
    having count(*) > 0
    {%- if keys %}
    union all
    select 'two states of one record at a time' as problem, count(*) as row_count
    from (
        select
            valid_to,
            lead(valid_from) over (partition by {{ keys | join(', ') }} order by valid_from) as next_valid_from
        from {{ model }}
        where {{ keys | join(' is not null and ') }} is not null
    ) as states
    where next_valid_from < coalesce(valid_to, date 'infinity')
    having count(*) > 0
    {%- endif %}
    union all
    select 'a live row that is no current state' as problem, count(*) as row_count
    from (
        select * exclude ({{ lineage }}) from {{ live }}
        except
        select * exclude ({{ lineage }}, valid_from, valid_to, is_current) from {{ model }} where is_current
    ) as lost
    having count(*) > 0
{% endtest %}
