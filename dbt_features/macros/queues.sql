{# The queue models of the labels: name -> suffix of its columns. #}
{% macro queue_models() %}
{{ return({'proportional': '', 'pessimistic': '_pess', 'optimistic': '_opt'}) }}
{% endmacro %}

{# One row a simulated order and queue model of the days to do: what became of it, under names without a suffix. #}
{% macro orders_by_queue(todo) %}
  {%- for queue, suffix in queue_models().items() %}
  select l.venue, l.symbol, l.clock, l.date, d.content_sha256, '{{ queue }}' as queue_model,
    case when l.side = 1 then 'buy' else 'sell' end as side, l.valid,
    l.valid and coalesce(l.filled{{ suffix }}, false) as filled,
    l.fill_delay_ns{{ suffix }} as fill_delay_ns,
    l.t_arrive_ns + l.fill_delay_ns{{ suffix }} as t_fill_ns,
    l.adverse{{ suffix }} as adverse, l.entry{{ suffix }} as entry,
    l.edge_bps{{ suffix }} as edge_bps, l.markout_5s_bps{{ suffix }} as markout_5s_bps,
    l.exit_maker_ratio{{ suffix }} as exit_maker_ratio
  from {{ ref('stg_labels') }} as l
  join {{ todo }} as d on d.venue = l.venue and d.symbol = l.symbol and d.clock = l.clock and d.date = l.date
  where l.date in {{ dates_to_do('labels') }}
  {{ 'union all' if not loop.last }}
  {%- endfor %}
{% endmacro %}
