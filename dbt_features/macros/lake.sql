{# Rows of a lake table whose partition is usable: listed by the caller before the run, from the manifests. #}
{% macro usable(table) %}
select b.*
from {{ source('lake', table) }} as b
semi join {{ usable_partitions() }} as u
  on u.table_name = '{{ table }}' and u.venue = b.venue and u.symbol = b.symbol and u.date = b.date
{%- if table in ('book_snapshots', 'features', 'labels') %} and u.clock = b.clock{% endif %}
{% endmacro %}

{# The book partitions that an incremental mart has to compute: those it does not hold with the same content. #}
{% macro partitions_to_do() %}
select u.* exclude (table_name)
from {{ usable_partitions() }} as u
where u.table_name = 'book_snapshots'
{% if is_incremental() %}
  and not exists (
    select 1 from {{ this }} as done
    where done.venue = u.venue and done.symbol = u.symbol and done.clock = u.clock and done.date = u.date
      and done.content_sha256 = u.content_sha256
  )
{% endif %}
{% endmacro %}

{# The same days as literals: DuckDB opens only the files of these days. #}
{% macro dates_to_do() %}
{%- if execute -%}
  {%- set rows = run_query('select distinct date from (' ~ partitions_to_do() ~ ') order by date') -%}
  {%- if rows.rows | length -%}
    ({% for row in rows.rows %}'{{ row[0] }}'{{ ', ' if not loop.last }}{% endfor %})
  {%- else -%} ('') {%- endif -%}
{%- else -%} ('') {%- endif -%}
{% endmacro %}

{# Rows of days that are no longer in the lake, or were refused since, leave the mart. #}
{% macro forget_unusable() %}
{% if is_incremental() %}
delete from {{ this }} as m
where not exists (
  select 1 from {{ usable_partitions() }} as u
  where u.table_name = 'book_snapshots'
    and u.venue = m.venue and u.symbol = m.symbol and u.clock = m.clock and u.date = m.date
)
{% else %}
select 1
{% endif %}
{% endmacro %}
