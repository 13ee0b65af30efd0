//! The page, as the console serves it in parts and as a report holds it in one file.

/// The page's frame.
pub(crate) const PAGE: &str = include_str!("page/page.html");

/// Its looks.
pub(crate) const STYLE: &str = include_str!("page/app.css");

/// Its behaviour.
pub(crate) const SCRIPT: &str = include_str!("page/app.js");

/// One HTML file with the page and `lines`, EVE lines of findings and sessions, in it: it opens
/// without a server and loads nothing.
#[must_use]
pub fn report<'a>(title: &str, lines: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut data = String::from("[");
    for line in lines {
        if data.len() > 1 {
            data.push_str(",\n");
        }
        data.push_str(&String::from_utf8_lossy(line));
    }
    data.push(']');
    // Inside a script element only `<` could end it; as an escape JSON reads the same.
    let data = data.replace('<', "\\u003c");
    let style = format!("<style>\n{STYLE}</style>");
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let script = format!(
        "<script type=\"application/json\" id=\"records\">{data}</script>\n<script>\n{SCRIPT}</script>"
    );
    PAGE.replace("<link rel=\"stylesheet\" href=\"app.css\">", &style)
        .replace("<script src=\"app.js\" defer></script>", "")
        .replace("<title>dwell</title>", &format!("<title>{title}</title>"))
        .replace("</body>", &format!("{script}\n</body>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_one_file_that_data_cannot_break_out_of() {
        let line = br#"{"event_type":"alert","x":"</script><img src=x>"}"#;
        let html = report("a <b> & c", [&line[..], &line[..]]);
        assert!(!html.contains("app.css") && !html.contains("src=\"app.js\""), "parts are inside");
        assert!(!html.contains("</script><img"));
        assert!(html.contains("<title>a &lt;b> &amp; c</title>"));
        let json = html.split("id=\"records\">").nth(1).unwrap().split("</script>").next().unwrap();
        let parsed: Vec<serde_json::Value> = serde_json::from_str(json).unwrap();
        assert_eq!(parsed.len(), 2);
        assert_eq!(parsed[0]["x"], "</script><img src=x>");
    }

    #[test]
    fn the_page_names_no_other_site() {
        for part in [PAGE, STYLE, SCRIPT] {
            let addresses = ["http://", "https://"].map(|scheme| part.split(scheme).skip(1));
            // SVG elements are made in a namespace, which is a name and no address.
            let foreign =
                addresses.into_iter().flatten().find(|a| !a.starts_with("www.w3.org/2000/svg"));
            assert_eq!(foreign, None);
        }
    }
}
