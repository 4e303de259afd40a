{#- Lists, with their count, the codes present that the published lists do not explain. News, not a fault: warns. -#}
{% test codes_have_labels(model, bases) %}
    {{ config(severity='warn') }}
    {% for base in bases %}
    select
        '{{ base }}' as attribute,
        {{ base }}_code as code,
        count(*) as row_count
    from {{ model }}
    where {{ base }}_code is not null and {{ base }}_label is null
    group by {{ base }}_code
    {{ "union all" if not loop.last }}
    {% endfor %}
{% endtest %}
