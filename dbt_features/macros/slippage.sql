{# Σ |price − best|·lots of taking q lots from one side, best first: integers, as evaluation/costs.py walks a book. #}
{% macro walked(side, q) %}
(
{%- for k in range(1, var('levels') + 1) %}
  {{ '+ ' if not loop.first }}abs({{ side }}_ticks_{{ k }} - {{ side }}_ticks_1)
    * least({{ side }}_lots_{{ k }}, greatest({{ q }}
    {%- for j in range(1, k) %} - {{ side }}_lots_{{ j }}{% endfor %}, 0))
{%- endfor %}
)
{% endmacro %}

{# Lots on the stored levels of one side. #}
{% macro stored_lots(side) %}
({% for k in range(1, var('levels') + 1) %}{{ ' + ' if not loop.first }}{{ side }}_lots_{{ k }}{% endfor %})
{% endmacro %}

{# The p-quantile of a cost whose truncated rows are null: they lie beyond every stored price, so they count as the
   dearest; a quantile among them is null ("at least beyond the stored book"). #}
{% macro cost_quantile(column, p) %}
nullif(quantile_disc(coalesce({{ column }}, 'infinity'::double), {{ p }}), 'infinity'::double)
{% endmacro %}
