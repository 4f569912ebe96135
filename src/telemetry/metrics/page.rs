//! The text of a scrape, in the text format of Prometheus 0.0.4 or in OpenMetrics 1.0.
//!
//! Both are written from the same samples and differ in little: how the family of a counter is called, and how a page
//! ends.

use super::super::units::Milli;
use super::table::{Kind, METRICS, Metric};
use crate::domain::Histogram;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Which format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text format of Prometheus, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// What fits best to the `Accept` of a request (RFC 9110, 12.5.1). Whoever takes neither gets the older one, which
    /// a person can read too.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let (mut open, mut plain) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut weight, mut version) = (1.0_f32, None);
            for (name, value) in parts.filter_map(|part| part.split_once('=')) {
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => weight = value.trim().parse().unwrap_or(0.0),
                    "version" => version = Some(value.trim().trim_matches('"').to_owned()),
                    _ => {}
                }
            }
            let speaks = |known: &[&str]| version.as_deref().is_none_or(|version| known.contains(&version));
            match media.as_str() {
                "application/openmetrics-text" if speaks(&["1.0.0", "0.0.1"]) => open = open.max(weight),
                "text/plain" if speaks(&["0.0.4"]) => plain = plain.max(weight),
                _ => {}
            }
        }
        if open > 0.0 && open >= plain {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }
}

/// A number as it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Number(String);

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self(value.to_string())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self(value.to_string())
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self(u8::from(value).to_string())
    }
}

impl From<Milli> for Number {
    fn from(value: Milli) -> Self {
        Self(value.value().to_string())
    }
}

impl Number {
    /// Microseconds, told in seconds.
    #[must_use]
    pub fn seconds(us: u64) -> Self {
        let (whole, part) = (us / 1_000_000, us % 1_000_000);
        Self(format!("{whole}.{part:06}"))
    }

    /// Milliseconds since 1970, told in seconds.
    #[must_use]
    pub fn timestamp(unix_ms: i64) -> Self {
        let ms = unix_ms.max(0);
        Self(format!("{}.{:03}", ms / 1_000, ms % 1_000))
    }
}

/// All samples of one scrape.
#[derive(Clone, Debug, Default)]
pub struct Page(BTreeMap<usize, Vec<Sample>>);

#[derive(Clone, Debug)]
struct Sample {
    ending: &'static str,
    labels: Vec<(&'static str, String)>,
    value: Number,
}

impl Page {
    /// Adds a sample; `labels` are the values of those the table names, in its order.
    pub fn add(&mut self, name: &str, labels: &[&str], value: impl Into<Number>) {
        self.sample(name, "", labels, None, value.into());
    }

    /// Adds a sample whose value may be unknown: then there is none.
    pub fn maybe(&mut self, name: &str, labels: &[&str], value: Option<impl Into<Number>>) {
        if let Some(value) = value {
            self.add(name, labels, value);
        }
    }

    /// Adds the samples of a histogram.
    pub fn histogram(&mut self, name: &str, labels: &[&str], times: &Histogram) {
        for (bound_ms, count) in times.cumulative() {
            // The canonical form, with a fraction, is the same in both formats.
            let bound = format!("{:?}", f64::from(bound_ms) / 1_000.0);
            self.sample(name, "_bucket", labels, Some(bound), count.into());
        }
        let all = times.count();
        self.sample(name, "_bucket", labels, Some("+Inf".to_owned()), all.into());
        self.sample(name, "_sum", labels, None, Number::seconds(times.sum_us()));
        self.sample(name, "_count", labels, None, all.into());
    }

    fn sample(
        &mut self,
        name: &str,
        ending: &'static str,
        labels: &[&str],
        le: Option<String>,
        value: Number,
    ) {
        let found = METRICS.iter().position(|metric| metric.name == name);
        let Some((index, metric)) = found.and_then(|index| Some((index, METRICS.get(index)?))) else {
            debug_assert!(false, "{name} is not in the table");
            return;
        };
        debug_assert_eq!(metric.labels.len(), labels.len(), "labels of {name}");
        let named = metric.labels.iter().copied();
        let labels = named.zip(labels.iter().map(|value| (*value).to_owned()));
        let sample = Sample {
            ending,
            labels: labels.chain(le.map(|bound| ("le", bound))).collect(),
            value,
        };
        self.0.entry(index).or_default().push(sample);
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self, format: Format) -> String {
        let mut out = String::with_capacity(16 * 1024);
        for (index, samples) in &self.0 {
            if let Some(metric) = METRICS.get(*index) {
                family(&mut out, metric, samples, format);
            }
        }
        if format == Format::OpenMetrics {
            out.push_str("# EOF\n");
        }
        out
    }
}

fn family(out: &mut String, metric: &Metric, samples: &[Sample], format: Format) {
    let sample_name = metric.sample_name();
    let family = match format {
        Format::Prometheus => sample_name.as_str(),
        Format::OpenMetrics => metric.name,
    };
    let (help, kind) = (metric.help, metric.kind.word());
    // Writing to a text cannot fail.
    let _ = writeln!(out, "# HELP {family} {help}\n# TYPE {family} {kind}");
    for sample in samples {
        out.push_str(&sample_name);
        out.push_str(sample.ending);
        for (place, (name, value)) in sample.labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(out, "{before}{name}=\"{}\"", escaped(value));
        }
        if !sample.labels.is_empty() {
            out.push('}');
        }
        let _ = writeln!(out, " {}", sample.value.0);
    }
    debug_assert!(
        metric.kind != Kind::Histogram || samples.len() > 2,
        "a histogram has classes"
    );
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn page() -> Page {
        let mut page = Page::default();
        let mut times = Histogram::new(&[5, 1_000]);
        times.record(Duration::from_millis(3));
        times.record(Duration::from_millis(1_500));
        page.histogram("retrovolt_bus_request_seconds", &["garage"], &times);
        page.add("retrovolt_bus_retries", &["gar\"age\\"], 7_u64);
        page.maybe("retrovolt_cp_power_watts", &["cp1"], Some(Milli(-7_200_500)));
        page.maybe("retrovolt_cp_power_watts", &["cp2"], None::<Milli>);
        page.add("retrovolt_watchdog_ok", &[], true);
        page
    }

    const SAMPLES: &str = "# HELP retrovolt_watchdog_ok Whether every task turns.
# TYPE retrovolt_watchdog_ok gauge
retrovolt_watchdog_ok 1
# HELP retrovolt_cp_power_watts Active power, positive toward the vehicle.
# TYPE retrovolt_cp_power_watts gauge
retrovolt_cp_power_watts{cp=\"cp1\"} -7200.5
# HELP retrovolt_bus_retries_total Requests that repeated the one before them, which had failed.
# TYPE retrovolt_bus_retries_total counter
retrovolt_bus_retries_total{bus=\"gar\\\"age\\\\\"} 7
# HELP retrovolt_bus_request_seconds From a request to its answer.
# TYPE retrovolt_bus_request_seconds histogram
retrovolt_bus_request_seconds_bucket{bus=\"garage\",le=\"0.005\"} 1
retrovolt_bus_request_seconds_bucket{bus=\"garage\",le=\"1.0\"} 1
retrovolt_bus_request_seconds_bucket{bus=\"garage\",le=\"+Inf\"} 2
retrovolt_bus_request_seconds_sum{bus=\"garage\"} 1.503000
retrovolt_bus_request_seconds_count{bus=\"garage\"} 2
";

    #[test]
    fn both_formats_are_written_as_they_ask() {
        assert_eq!(page().text(Format::Prometheus), SAMPLES);
        let counter = |text: &str| {
            text.replace(
                "# HELP retrovolt_bus_retries_total",
                "# HELP retrovolt_bus_retries",
            )
        };
        let open = counter(SAMPLES).replace(
            "# TYPE retrovolt_bus_retries_total",
            "# TYPE retrovolt_bus_retries",
        );
        assert_eq!(page().text(Format::OpenMetrics), open + "# EOF\n");
    }

    #[test]
    fn who_asks_gets_what_it_understands() {
        use Format::{OpenMetrics, Prometheus};
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            (prometheus, OpenMetrics),
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            (
                "Application/OpenMetrics-Text; version=\"1.0.0\"; charset=utf-8",
                OpenMetrics,
            ),
            ("application/openmetrics-text", OpenMetrics),
            ("application/openmetrics-text;version=2.0.0", Prometheus),
            ("application/openmetrics-text;q=0.3,text/plain;q=0.7", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=x,;;=,", Prometheus),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3",
                Prometheus,
            ),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
