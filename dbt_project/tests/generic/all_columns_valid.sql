{#- No row lists a column whose text failed its type. A warning by nature: the row is kept, the count is the news. -#}
{% test all_columns_valid(model) %}
    {{ config(severity='warn') }}
    select
        _invalid_columns,
        _source_file,
        _source_line
    from {{ model }}
    where _invalid_columns is not null
{% endtest %}
