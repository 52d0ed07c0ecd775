//! The JSON form of metrics. JSON has no NaN and no infinity, so such a number is written as `{"$float": "NaN"}`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::metric::{Metric, Metrics};

/// The only name in a map that represents a number.
pub(super) const FLOAT: &str = "$float";

/// The number that a map represents, if it represents one.
pub(super) fn non_finite(metrics: &Metrics) -> Option<f64> {
    match (metrics.len(), metrics.value(FLOAT)) {
        (1, Some(Metric::Text(text))) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

fn name(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Metric::Null => serializer.serialize_none(),
            Metric::Bool(value) => serializer.serialize_bool(*value),
            Metric::Int(integer) => match (i64::try_from(*integer), u64::try_from(*integer)) {
                (Ok(integer), _) => serializer.serialize_i64(integer),
                (_, Ok(integer)) => serializer.serialize_u64(integer),
                _ => serializer.serialize_f64(*integer as f64),
            },
            Metric::Float(number) if number.is_finite() => serializer.serialize_f64(*number),
            Metric::Float(number) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(FLOAT, name(*number))?;
                map.end()
            }
            Metric::Text(text) => serializer.serialize_str(text),
            Metric::List(list) => serializer.collect_seq(list),
            Metric::Map(metrics) => metrics.serialize(serializer),
        }
    }
}

impl Serialize for Metrics {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

struct MetricVisitor;

impl<'de> Visitor<'de> for MetricVisitor {
    type Value = Metric;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a metric")
    }

    fn visit_unit<E>(self) -> Result<Metric, E> {
        Ok(Metric::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Metric, E> {
        Ok(Metric::Bool(value))
    }

    fn visit_i64<E>(self, integer: i64) -> Result<Metric, E> {
        Ok(Metric::Int(integer.into()))
    }

    fn visit_u64<E>(self, integer: u64) -> Result<Metric, E> {
        Ok(Metric::Int(integer.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Metric, E> {
        Ok(Metric::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Metric, E> {
        Ok(Metric::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Metric, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Metric::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metric, A::Error> {
        let mut metrics = Metrics::new();
        while let Some((name, value)) = map.next_entry()? {
            metrics.set(name, value);
        }
        Ok(non_finite(&metrics).map_or(Metric::Map(metrics), Metric::Float))
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metric, D::Error> {
        deserializer.deserialize_any(MetricVisitor)
    }
}

impl<'de> Deserialize<'de> for Metrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metrics, D::Error> {
        match Metric::deserialize(deserializer)? {
            Metric::Map(metrics) => Ok(metrics),
            _ => Err(serde::de::Error::custom("metrics are a map from names to values")),
        }
    }
}
