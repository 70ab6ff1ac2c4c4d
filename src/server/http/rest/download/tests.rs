use proptest::prelude::*;

use super::*;
use crate::server::http::tests::fixture;

/// Characters that make a spreadsheet run a cell that begins with one of them as a formula. Japanese and
/// Chinese editions treat the wide signs as the narrow ones.
const FORMULA: &[char] = &['=', '+', '-', '@', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '\u{2212}'];

/// Separators that spreadsheets choose automatically, by the language of the system or by the content of the
/// file.
const SEPARATORS: [char; 4] = [',', ';', '\t', '|'];

/// Splits a text into cells as a spreadsheet does: a quote counts at the beginning of a cell, a doubled
/// quote is one quote, and what follows the closing quote belongs to the cell. `quotes` is false for a
/// reader that ignores quotes.
fn cells(text: &str, separator: char, quotes: bool) -> Vec<String> {
    let (mut found, mut cell, mut quoted, mut begins) = (Vec::new(), String::new(), false, true);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quotes && begins => quoted = true,
            '"' if quoted && chars.peek() == Some(&'"') => cell.extend(chars.next()),
            '"' if quoted => quoted = false,
            c if !quoted && (c == separator || c == '\n' || c == '\r') => {
                found.push(std::mem::take(&mut cell));
                begins = true;
                continue;
            }
            c => cell.push(c),
        }
        begins = false;
    }
    found.push(cell);
    found
}

/// Returns whether a spreadsheet may run the cell. Some find a formula after blanks, quotes and characters
/// without width.
fn runs(cell: &str) -> bool {
    let invisible = |c: char| {
        c.is_whitespace() || c.is_control() || "\"\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}".contains(c)
    };
    cell.trim_start_matches(invisible).starts_with(FORMULA)
}

/// Returns the CSV file of a VM with `text` in all of its texts.
fn file(text: &str) -> String {
    let mut vm = fixture::vm(text, text);
    let summary = &mut vm.summary;
    for field in
        [&mut summary.kubevirt_status, &mut summary.node, &mut summary.migrating_to, &mut summary.ip_address]
    {
        *field = text.to_owned();
    }
    vm.os_image = text.to_owned();
    String::from_utf8(table(&Outlooks::default(), &[&vm], true)).unwrap()
}

fn running_cells(text: &str) -> Vec<String> {
    let file = file(text);
    let readings = SEPARATORS.into_iter().flat_map(|separator| [(separator, true), (separator, false)]);
    let cells = readings.flat_map(|(separator, quotes)| cells(&file, separator, quotes));
    cells.filter(|cell| runs(cell)).collect()
}

#[test]
fn no_cell_is_run_whatever_separates_the_cells() {
    for text in [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "－1",
        "\u{2212}1",
        // An invisible character precedes the formula.
        " =1",
        "\u{a0}=1",
        "\u{3000}=1",
        "\u{feff}=1",
        "\u{200b}=1",
        "\"=1",
        "\" =1",
        "\"\"=1",
        // The file has commas, and is opened where another separator is used.
        "a;=1",
        "a; =1",
        "a;\"=1",
        "a;\"\"=1",
        "a\t=1",
        "a|=1",
        "a,=1",
        "a,\"=1",
        "a;;=1",
        "a;b;@c",
        ";=1",
        "a;＝1",
        "a\n=1",
        "a\r\n=1",
        "a\u{2028}=1",
        "a;\n=1",
        "a\";=1",
        "\"a\";=1",
        "\";=1",
    ] {
        assert_eq!(running_cells(text), Vec::<String>::new(), "{text:?} in {}", file(text));
    }
}

#[test]
fn cells_without_formulas_are_unchanged() {
    for text in [
        "web",
        "10.0.0.5",
        "a=b",
        "a-b",
        "fd00::1",
        "a, b",
        "a; b",
        "it's",
        "'=1",
        "Ubuntu 24.04 - LTS",
        "é \"x\"",
    ] {
        let record = csv::Reader::from_reader(file(text).as_bytes()).into_records().next().unwrap().unwrap();
        assert_eq!(&record[1], text);
    }
}

/// Generates texts of pieces that separate cells, begin formulas, are invisible, or are ordinary.
fn any_text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "=",
        "+",
        "-",
        "@",
        "＝",
        "－",
        "\u{2212}",
        ";",
        ",",
        "|",
        "\t",
        "\r",
        "\n",
        "\"",
        "'",
        " ",
        "\u{a0}",
        "\u{feff}",
        "\u{200b}",
        "\u{2028}",
        "\u{85}",
        "\u{1b}",
        "a",
        "1",
        "cmd|' /C calc'!A0",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_text_becomes_a_formula_and_each_can_be_read_back(text in any_text()) {
        prop_assert_eq!(running_cells(&text), Vec::<String>::new());
        let file = file(&text);
        let record = csv::Reader::from_reader(file.as_bytes()).into_records().next().unwrap().unwrap();
        // A person can still read the text: apostrophes were added, and blanks replace line breaks.
        let plain = |text: &str| text.replace(|c: char| c.is_control() || c == '\u{2028}', " ").replace('\'', "");
        for column in [0, 1, 4, 6, 7, 8, 9] {
            prop_assert_eq!(plain(&record[column]), plain(&text));
        }
    }
}

#[test]
fn thousandths_keep_their_zeros() {
    assert_eq!(thousandths(25_042), "25.042");
    assert_eq!(thousandths(7), "0.007");
}

#[test]
fn pieces_join_without_a_seam() {
    for count in [0, 1, CHUNK, CHUNK + 1] {
        let reader = fixture::Server::new(vec![fixture::vm("shop", "web")]).app.reader;
        let rows = vec![reader.visible(Viewer::everybody().scope()).vms()[0].summary.row_key(); count];
        let json: Vec<u8> =
            pieces(reader.clone(), Viewer::everybody(), rows.clone(), |_, chunk, first, last| {
                array(chunk, first, last)
            })
            .flatten()
            .collect();
        let read: Vec<serde_json::Value> = serde_json::from_slice(&json).unwrap();
        assert_eq!(read.len(), count);
        let csv: Vec<u8> = pieces(reader, Viewer::everybody(), rows, |visible, chunk, first, _| {
            table(&Outlooks::of(visible), chunk, first)
        })
        .flatten()
        .collect();
        let csv = String::from_utf8(csv).unwrap();
        assert_eq!(csv.matches("\r\n").count(), count + 1, "a line for the heads and one a VM");
    }
}
