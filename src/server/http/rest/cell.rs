//! Makes a text safe as a cell of a spreadsheet, which runs cells that begin like a formula. `download` uses
//! it for CSV.
//!
//! Quotes do not help: they are removed when the file is read, and mean nothing if it is read with another
//! separator. The separator comes from the reader's language (Excel takes `;` where the comma is the decimal
//! separator) or from a guess, so a cell may begin after each of them, even within a text. There an
//! apostrophe makes the cell a text, as <https://owasp.org/www-community/attacks/CSV_Injection> recommends.

use model::params::is_unseen;

/// Returns the text with an apostrophe wherever a cell may begin that would be run. Each invisible
/// character, such as a line break or a tab, which also separates cells, is replaced by a blank.
pub fn as_text(text: String) -> String {
    if !text.contains(|c| begins_formula(c) || is_unseen(c)) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 1);
    // Start of a cell that has no visible character so far.
    let mut begin = Some(0);
    for c in text.chars().map(|c| if is_unseen(c) { ' ' } else { c }) {
        match begin {
            Some(at) if begins_formula(c) => {
                out.insert(at, '\'');
                begin = None;
            }
            Some(_) if !is_skipped(c) => begin = None,
            _ => {}
        }
        out.push(c);
        if SEPARATORS.contains(&c) {
            begin = Some(out.len());
        }
    }
    out
}

/// Separators of cells, besides the tab, which is replaced by a blank.
const SEPARATORS: [char; 3] = [',', ';', '|'];

/// Returns whether a cell that begins with `c` is run as a formula: the signs, and their forms that editions
/// of Excel and LibreOffice for other scripts accept.
fn begins_formula(c: char) -> bool {
    "=+-@＝＋－＠﹦﹢﹣﹫\u{2212}".contains(c)
}

/// Returns whether `c` may precede a formula that is still run: blanks, characters without width, and
/// quotes, which are removed at the beginning of a cell.
fn is_skipped(c: char) -> bool {
    c.is_whitespace() || "\"\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}".contains(c)
}
