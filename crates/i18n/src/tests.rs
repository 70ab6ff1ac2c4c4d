use super::*;

#[test]
fn english_is_the_default() {
    assert_eq!(t!(page.skip), "Skip to content");
}

#[test]
fn the_context_gives_the_language() {
    assert_eq!(within(Lang::Chinese, || t!(page.skip)), "跳到正文");
    // One language inside another, such as the English text of a problem inside a page.
    let both = within(Lang::Chinese, || (within(Lang::English, || t!(page.skip)), t!(page.skip)));
    assert_eq!(both, ("Skip to content", "跳到正文"));
}

#[test]
fn each_language_orders_its_arguments() {
    let range = || t!(list.range, first = "51", last = "100", all = "1,284");
    assert_eq!(range(), "51–100 of 1,284");
    assert_eq!(within(Lang::Chinese, range), "第 51–100 个，共 1,284 个");
}

#[test]
fn a_number_selects_the_plural_form() {
    let vms = |n: u32| t!(count.vms, n = n);
    assert_eq!([vms(0), vms(1), vms(1_284)], ["0 VMs", "1 VM", "1,284 VMs"]);
    assert_eq!(within(Lang::Chinese, || [vms(1), vms(2)]), ["1 台虚拟机", "2 台虚拟机"]);
}

#[test]
fn placeholders_in_arguments_are_not_filled_in() {
    let range = t!(list.range, first = "\u{2}", last = "{all}", all = "");
    assert_eq!(range, "\u{2}–{all} of ");
}
