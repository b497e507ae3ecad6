{# Rows of a lake table whose partition is usable: listed by the caller before the run, from the manifests. Where there
   is none the table's files need not exist: the columns of its declaration, without a row. #}
{% macro usable(table) %}
{%- if usable_count(table) == 0 %}
select
{%- for name, column in declared(table).items() %}
  null::{{ column.data_type }} as {{ name }},
{%- endfor %}
  null::varchar as venue, null::varchar as symbol, null::varchar as date
{%- if table != 'trades' %}, null::varchar as clock{% endif %}
where false
{%- else %}
select b.*
from {{ source('lake', table) }} as b
semi join {{ usable_partitions() }} as u
  on u.table_name = '{{ table }}' and u.venue = b.venue and u.symbol = b.symbol and u.date = b.date
{%- if table in ('book_snapshots', 'features', 'labels') %} and u.clock = b.clock{% endif %}
{%- endif %}
{% endmacro %}

{# The number of usable partitions of a table; 1 while the project is only parsed. #}
{% macro usable_count(table) %}
{%- if execute -%}
  {%- set sql = 'select count(*) from ' ~ usable_partitions() ~ " where table_name = '" ~ table ~ "'" -%}
  {{ return(run_query(sql).rows[0][0] | int) }}
{%- endif -%}
{{ return(1) }}
{% endmacro %}

{# The columns of a lake table, from the generated sources. #}
{% macro declared(table) %}
{%- for node in graph.sources.values() if node.name == table -%}
  {{ return(node.columns) }}
{%- endfor -%}
{% endmacro %}

{# The partitions of a table that an incremental mart has to compute: those it does not hold with the same content. #}
{% macro partitions_to_do(table='book_snapshots') %}
select u.* exclude (table_name)
from {{ usable_partitions() }} as u
where u.table_name = '{{ table }}'
{% if is_incremental() %}
  and not exists (
    select 1 from {{ this }} as done
    where done.venue = u.venue and done.symbol = u.symbol and done.clock = u.clock and done.date = u.date
      and done.content_sha256 = u.content_sha256
  )
{% endif %}
{% endmacro %}

{# The same days as literals: DuckDB opens only the files of these days. #}
{% macro dates_to_do(table='book_snapshots') %}
{%- if execute -%}
  {%- set rows = run_query('select distinct date from (' ~ partitions_to_do(table) ~ ') order by date') -%}
  {%- if rows.rows | length -%}
    ({% for row in rows.rows %}'{{ row[0] }}'{{ ', ' if not loop.last }}{% endfor %})
  {%- else -%} ('') {%- endif -%}
{%- else -%} ('') {%- endif -%}
{% endmacro %}

{# Rows of days that are no longer in the lake, or were refused since, leave the mart. #}
{% macro forget_unusable(table='book_snapshots') %}
{% if is_incremental() %}
delete from {{ this }} as m
where not exists (
  select 1 from {{ usable_partitions() }} as u
  where u.table_name = '{{ table }}'
    and u.venue = m.venue and u.symbol = m.symbol and u.clock = m.clock and u.date = m.date
)
{% else %}
select 1
{% endif %}
{% endmacro %}
