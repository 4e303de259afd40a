-- Points declared more than once: the newest declaration speaks for them, the others lost. Their number is the news.
{{ config(severity='warn', fail_calc='coalesce(sum(lost_declaration_count), 0)') }}

select
    charging_point_key,
    declaration_count - 1 as lost_declaration_count
from {{ ref('fct_charging_point') }}
where declaration_count > 1
