//! A text as a cell of a spreadsheet, which runs cells that begin like a formula.
//!
//! Quotes do not help: they are gone once the file is read, and count for nothing where it is read with another separator
//! than it has. The separator comes from the reader's language (Excel takes `;` where the comma is for decimals) or from a
//! guess, so that a cell may begin behind each of them, within a text too. There an apostrophe makes it a text, as
//! <https://owasp.org/www-community/attacks/CSV_Injection> has it.

use model::params::is_unseen;

/// The text with an apostrophe wherever a cell may begin that would be run; a blank stands for each character that is not
/// seen, such as a line's end or a tab, which separates cells too.
pub fn as_text(text: String) -> String {
    if !text.contains(|c| begins_formula(c) || is_unseen(c)) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 1);
    // Where a cell begins of which nothing is seen so far.
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

/// Besides the tab, of which a blank is left.
const SEPARATORS: [char; 3] = [',', ';', '|'];

/// The signs, and those that editions of Excel and LibreOffice for other scripts take for them.
fn begins_formula(c: char) -> bool {
    "=+-@＝＋－＠﹦﹢﹣﹫\u{2212}".contains(c)
}

/// What may stand in front of a formula that is run all the same: blanks, what has no width, and quotes, which are gone
/// where they begin a cell.
fn is_skipped(c: char) -> bool {
    c.is_whitespace() || "\"\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}".contains(c)
}
