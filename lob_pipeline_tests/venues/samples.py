"""Small recordings of every form, written by hand: no real data needed."""

from __future__ import annotations

from typing import NamedTuple

from lob_pipeline.venues.detect import Format


class Sample(NamedTuple):
    """A file's bytes and how to read them."""

    market: str
    format: Format
    data: bytes
    spot: bool = False


_BOOK = b"""\
{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1733011200691,"data":{"s":"BTCUSDT","b":[["65114.20","6.054"],\
["65114.10","0.002"]],"a":[["65114.30","1"],["65115","12.5"]],"u":7,"seq":91},"cts":1733011200688}
{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1733011200701,"data":{"s":"BTCUSDT","b":[["65114.10","0"]],\
"a":[],"u":8,"seq":95},"cts":1733011200698}
{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1733011200711,"data":{"s":"BTCUSDT","b":[],\
"a":[["65114.30","0.750"],["65120.00","100000.001"]],"u":9,"seq":99},"cts":1733011200708}
"""
_TRADES = b"""\
{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1733011200700,"data":[{"T":1733011200699,"s":"BTCUSDT",\
"S":"Sell","v":"0.004","p":"65114.20","L":"MinusTick","i":"a9188a0a-82bc-50de-be60-03eedbe3cdd7","BT":false,\
"RPI":true,"seq":94},{"T":1733011200699,"s":"BTCUSDT","S":"Buy","v":"1","p":"65114.3","i":"x","BT":true}]}
"""
_CONTROL = b"""\
{"success":true,"ret_msg":"","conn_id":"c","op":"subscribe"}
{"success":true,"ret_msg":"pong","conn_id":"c","op":"ping"}
"""
_CSV = b"""\
timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional
1733011200.1234,BTCUSDT,Buy,0.004,65114.20,PlusTick,a9188a0a-82bc-50de-be60-03eedbe3cdd7,2.6e+10,0.004,260.4568
1733011201,BTCUSDT,Sell,12,65114.1,MinusTick,b,7.8e+13,12.0,781369.2
"""
_FUTURES = b"""\
1680652700423575 {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":71,"s":"BTCUSDT","b":"28145.10",\
"B":"3.868","a":"28145.20","A":"6.887","T":1680652700430,"E":1680652700435}}
1680652700441533 {"stream":"btcusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT",\
"t":3535186032,"p":"28145.10","q":"0.002","X":"MARKET","m":true}}
1680652700441633 {"stream":"btcusdt@trade","data":{"e":"trade","E":1680652700455,"T":1680652700452,"s":"BTCUSDT",\
"t":3535186033,"p":"27145.10","q":"0.002","X":"INSURANCE_FUND","m":false}}
1680652700441733 {"lastUpdateId":70,"E":1680652700440,"T":1680652700438,"bids":[["28145.10","3.868"]],\
"asks":[["28145.20","6.887"],["28146.00","1.000"]]}
1680652700441833 {"stream":"btcusdt@markPrice@1s","data":{"e":"markPriceUpdate","E":1680652800010,"s":"BTCUSDT",\
"p":"28155.10000000","P":"28141.47600845","i":"28165.04857143","r":"0.00002760","T":1680652800000}}
1680652700441933 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1680652700460,"T":1680652700458,\
"s":"BTCUSDT","U":69,"u":72,"pu":68,"b":[["22300.00","2.788"],["27577.40","0.000"]],"a":[]}}
"""
_COINM = b"""\
1680652700441733 {"lastUpdateId":70,"symbol":"BTCUSD_PERP","pair":"BTCUSD","E":1680652700440,"T":1680652700438,\
"bids":[["28145.1","3868"]],"asks":[["28145.2","6887"],["28146","1"]]}
1680652700423575 {"stream":"btcusd_perp@bookTicker","data":{"e":"bookTicker","u":71,"s":"BTCUSD_PERP","ps":"BTCUSD",\
"b":"28145.1","B":"3868","a":"28145.2","A":"6887","T":1680652700430,"E":1680652700435}}
1680652700441933 {"stream":"btcusd_perp@depth@100ms","data":{"e":"depthUpdate","E":1680652700460,"T":1680652700458,\
"s":"BTCUSD_PERP","ps":"BTCUSD","U":69,"u":72,"pu":68,"b":[["22300.0","2788"],["27577.4","0"]],"a":[]}}
1680652700442033 {"stream":"btcusd_perp@aggTrade","data":{"e":"aggTrade","E":1680652700465,"a":424951,\
"s":"BTCUSD_PERP","p":"28145.1","q":"20","f":606073,"l":606074,"T":1680652700462,"m":true}}
1680652700442133 {"stream":"btcusd_perp@markPrice@1s","data":{"e":"markPriceUpdate","E":1680652701010,\
"s":"BTCUSD_PERP","p":"28155.1","P":"28141.4","r":"0.0000276","T":1680652800000}}
"""
_SPOT = b"""\
1721749182850494 {"lastUpdateId": 134180599, "bids": [["1.21400000", "63.38000000"]], "asks": [["1.21600000", "5.00"]]}
1721749183854663 {"stream":"nexousdt@depth@100ms","data":{"e":"depthUpdate","E":1721749183710,"s":"NEXOUSDT",\
"U":134180600,"u":134180602,"b":[["1.18800000","169.66000000"]],"a":[["1.25300000","17.74200000"]]}}
1721749183994292123 {"stream":"nexousdt@bookTicker","data":{"u":134180603,"s":"NEXOUSDT","b":"1.21400000",\
"B":"63.38000000","a":"1.21600000","A":"62.53000000"}}
1721749183994442 {"stream":"nexousdt@trade","data":{"e":"trade","E":1721749184044,"s":"NEXOUSDT","t":12792147,\
"p":"1.21600000","q":"10.82000000","T":1721749184043,"m":false,"M":true}}
"""
_WRAPPED = b"""\
{"ts_local":1772137285.1079783,"symbol":"BTCUSDT","type":"exchangeInfo","data":{"symbol":"BTCUSDT",\
"tickSize":"0.10","stepSize":"0.001"}}
{"ts_local":1772137285.368997,"symbol":"BTCUSDT","type":"snapshot","data":{"lastUpdateId":99,\
"bids":[["67717.60","9.554"]],"asks":[["67717.70","0.005"]]}}
{"ts_local":1772137285.6802905,"symbol":"ETHUSDT","type":"snapshot","data":{"lastUpdateId":98,\
"bids":[["2035.49","246.601"]],"asks":[]}}
{"ts_local":1772137287079.0,"symbol":"BTCUSDT","type":"aggTrade","data":{"e":"aggTrade","E":1772137287079,"a":316,\
"s":"BTCUSDT","p":"67719.40","q":"0.009","nq":"0.009","f":7344840380,"l":7344840380,"T":1772137286971,"m":false}}
{"ts_local":1772137287157.0,"symbol":"BTCUSDT","type":"depthUpdate","data":{"e":"depthUpdate","E":1772137287157,\
"T":1772137287156,"s":"BTCUSDT","U":97,"u":101,"pu":96,"b":[["5000.00","46.301"]],"a":[["67720.00","0.000"]]}}
"""

SAMPLES = {
    "bybit_book": Sample("bybit-linear.BTCUSDT", "bybit_messages", _BOOK),
    "bybit_trades": Sample("bybit-linear.BTCUSDT", "bybit_messages", _TRADES + _CONTROL),
    "bybit_csv": Sample("bybit-linear.BTCUSDT", "bybit_trades_csv", _CSV),
    "binance_futures": Sample("binance-usdm.BTCUSDT", "binance_raw", _FUTURES),
    "binance_coinm": Sample("binance-coinm.BTCUSD_PERP", "binance_raw", _COINM),
    "binance_spot": Sample("binance-spot.NEXOUSDT", "binance_raw", _SPOT, spot=True),
    "binance_wrapped": Sample("binance-usdm.BTCUSDT", "binance_raw", _WRAPPED),
}
