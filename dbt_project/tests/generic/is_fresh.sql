{#-
    The newest day that the files tell is not older than `days` before the newest extraction: else what is published
    has stopped, or no longer holds what it did. News, not a fault: warns.
-#}
{% test is_fresh(model, column, days) %}
    {{ config(severity='warn') }}
    select
        max({{ column }})::date as newest_day,
        max(_extraction_date) as newest_extraction_date
    from {{ model }}
    having max({{ column }})::date < max(_extraction_date) - {{ days }}
{% endtest %}
