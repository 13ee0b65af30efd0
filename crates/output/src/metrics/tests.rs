use super::*;

fn metrics() -> Metrics {
    Metrics::new(BuildInfo { version: "1", revision: "r", rustc: "c" }).unwrap()
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.render().unwrap()).unwrap()
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(&format!("{series} ")));
    line.unwrap_or_else(|| panic!("{series} is not there"))
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn what_was_counted_is_folded_in_and_never_goes_back() {
    let metrics = metrics();
    let mut figures = CaptureFigures {
        interface: "tap0".to_owned(),
        frames: 10,
        kernel_dropped: 3,
        up: true,
        ..CaptureFigures::default()
    };
    metrics.set_capture(std::slice::from_ref(&figures));
    figures.frames = 8;
    metrics.set_capture(std::slice::from_ref(&figures));
    let text = text(&metrics);
    assert_eq!(value(&text, "dwell_capture_packets_total{interface=\"tap0\"}"), 10.0);
    let kernel = "dwell_capture_drops_total{interface=\"tap0\",stage=\"kernel\"}";
    assert_eq!(value(&text, kernel), 3.0);
    assert_eq!(value(&text, "dwell_capture_interface_up{interface=\"tap0\"}"), 1.0);
}

#[test]
fn every_label_set_of_a_sink_is_there_from_the_start() {
    let metrics = metrics();
    let sink = metrics.sink("eve");
    let text = text(&metrics);
    for series in [
        "dwell_output_records_total{sink=\"eve\",type=\"alert\"}",
        "dwell_output_dropped_total{reason=\"queue_full\",sink=\"eve\"}",
        "dwell_output_errors_total{reason=\"disk_full\",sink=\"eve\"}",
        "dwell_alerts_total{analytic=\"AN0144\",severity=\"alert\"}",
        "dwell_alerts_total{analytic=\"AN0145\",severity=\"watch\"}",
        "dwell_alerts_total{analytic=\"AN0146\",severity=\"high\"}",
    ] {
        assert_eq!(value(&text, series), 0.0, "{series}");
    }
    sink.written("alert");
    sink.dropped(SinkDrop::QueueFull, 2);
    assert_eq!((sink.written_so_far("alert"), sink.dropped_so_far()), (1, 2));
}

#[test]
fn a_reload_that_fails_keeps_the_time_of_the_last_that_did_not() {
    let metrics = metrics();
    metrics.note_reload(Some(1000.0));
    metrics.note_reload(None);
    let text = text(&metrics);
    assert_eq!(value(&text, "dwell_config_last_reload_successful"), 0.0);
    assert_eq!(value(&text, "dwell_config_last_reload_success_timestamp_seconds"), 1000.0);
}
