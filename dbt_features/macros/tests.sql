{# Values lie between low and high; either may be absent. Nulls are another test's. #}
{% test inside(model, column_name, low=none, high=none) %}
select {{ column_name }} from {{ model }}
where false
{%- if low is not none %} or {{ column_name }} < {{ low }}{% endif %}
{%- if high is not none %} or {{ column_name }} > {{ high }}{% endif %}
{% endtest %}

{% test unique_together(model, columns) %}
select {{ columns | join(', ') }} from {{ model }} group by all having count(*) > 1
{% endtest %}

{# Quantiles of one distribution do not fall as p rises (null: beyond the stored book). #}
{% test ascending(model, columns) %}
select {{ columns | join(', ') }} from {{ model }}
where false
{%- for k in range(1, columns | length) %} or {{ columns[k] }} < {{ columns[k - 1] }}{% endfor %}
{% endtest %}

{# At the same hour and side, the median cost of a larger order is not lower. #}
{% test larger_orders_cost_more(model) %}
select a.venue, a.symbol, a.date, a.hour, a.side, a.size_quote
from {{ model }} as a
join {{ model }} as b using (venue, symbol, clock, date, hour, side)
where b.size_quote > a.size_quote and b.slippage_p50_bps < a.slippage_p50_bps - 1e-9
{% endtest %}

{# Each count is at most the one after it. #}
{% test not_more_than(model, columns) %}
select {{ columns | join(', ') }} from {{ model }}
where false
{%- for k in range(1, columns | length) %} or {{ columns[k - 1] }} > {{ columns[k] }}{% endfor %}
{% endtest %}

{# What fills under the pessimistic queue model fills under the proportional one, and that under the optimistic one. #}
{% test ordered_queues(model) %}
select p.venue, p.symbol, p.date, p.side
from {{ model }} as p
join {{ model }} as m using (venue, symbol, clock, date, side)
join {{ model }} as o using (venue, symbol, clock, date, side)
where p.queue_model = 'pessimistic' and m.queue_model = 'proportional' and o.queue_model = 'optimistic'
  and (p.filled_orders > m.filled_orders or m.filled_orders > o.filled_orders)
{% endtest %}

{# The ages of a day, side and queue model are all its filled orders. #}
{% test ages_add_up(model) %}
select b.venue, b.symbol, b.date, b.side, b.queue_model
from {{ ref('label_base_rates_daily') }} as b
left join {{ model }} as a using (venue, symbol, clock, date, side, queue_model)
group by all
having sum(coalesce(a.fills, 0)) <> any_value(b.filled_orders)
{% endtest %}
