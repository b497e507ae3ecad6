{# One row a usable partition, written from the manifests before each run (stages/marts.py): table_name, venue, symbol,
   clock, date, content_sha256, contract, contract_value, and tick times lot as the fraction value_num / value_den. #}
{% macro usable_partitions() %}
read_parquet('{{ env_var("LOB_DBT_USABLE") }}')
{%- endmacro %}
