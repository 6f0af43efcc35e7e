//! `$(VAR)` expansion as the kubelet does it, for values of which some are known only inside the cloud.
//!
//! A Kubernetes-style cloud expands references itself, so a text that is already final is escaped where it would be
//! expanded again, and a reference to a value that burst does not know (or must not see in clear) is left for the cloud.
//! Clouds that expand nothing are given no such values. Facts: the kubelet's
//! `third_party/forked/golang/expansion`.

/// What a referenced variable is.
pub(in crate::cloud) enum Lookup<'a> {
    /// Known here.
    Text(&'a str),
    /// Exists, but only the cloud knows the value.
    Late,
    /// No such variable: the reference stays as it is.
    Unknown,
}

/// An expanded text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cloud) enum Expanded {
    /// Final: what the program must see.
    Text(String),
    /// To be expanded by the cloud, which will then show what the program must see.
    Template(String),
}

enum Token<'a> {
    Text(&'a str),
    Reference(&'a str),
}

/// Expands every reference in `input`.
pub(in crate::cloud) fn expand<'v>(input: &str, lookup: impl Fn(&str) -> Lookup<'v>) -> Expanded {
    let (mut text, mut template, mut late) = (String::new(), String::new(), false);
    let add = |piece: &str, text: &mut String, template: &mut String| {
        text.push_str(piece);
        template.push_str(&escape(piece));
    };
    for token in tokens(input) {
        match token {
            Token::Text(piece) => add(piece, &mut text, &mut template),
            Token::Reference(name) => match lookup(name) {
                Lookup::Text(value) => add(value, &mut text, &mut template),
                Lookup::Unknown => add(&format!("$({name})"), &mut text, &mut template),
                Lookup::Late => {
                    late = true;
                    template.push_str(&format!("$({name})"));
                }
            },
        }
    }
    if late { Expanded::Template(template) } else { Expanded::Text(text) }
}

/// Writes a final text so that an expansion with these variables leaves it as it is; unchanged wherever possible.
pub(in crate::cloud) fn protect(text: String, is_variable: impl Fn(&str) -> bool) -> String {
    let changes = text.contains("$$")
        || tokens(&text).iter().any(|token| matches!(token, Token::Reference(name) if is_variable(name)));
    if changes { escape(&text) } else { text }
}

fn escape(text: &str) -> String {
    text.replace('$', "$$")
}

fn tokens(input: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = input;
    while let Some((before, after)) = rest.split_once('$') {
        tokens.push(Token::Text(before));
        if let Some(escaped) = after.strip_prefix('$') {
            tokens.push(Token::Text("$"));
            rest = escaped;
        } else if let Some((name, behind)) = after.strip_prefix('(').and_then(|name| name.split_once(')')) {
            tokens.push(Token::Reference(name));
            rest = behind;
        } else {
            // Neither an escape nor a complete reference: the operator stands for itself.
            tokens.push(Token::Text("$"));
            rest = after;
        }
    }
    tokens.push(Token::Text(rest));
    tokens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Lookup<'static> {
        match name {
            "A" => Lookup::Text("1"),
            "MONEY" => Lookup::Text("$(A) $$"),
            "EMPTY" => Lookup::Text(""),
            "IP" => Lookup::Late,
            _ => Lookup::Unknown,
        }
    }

    /// The cases of the kubelet's own test, and ours for late values.
    #[test]
    fn as_the_kubelet() {
        let cases = [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(EMPTY)foobar", "foobar"),
            ("$(NOPE)", "$(NOPE)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$A", "$A"),
            ("$", "$"),
            ("A$", "A$"),
            ("$$", "$"),
            ("$(", "$("),
            ("foo$(bar", "foo$(bar"),
            ("$(A)$(", "1$("),
            ("$()", "$()"),
            ("$($(A)", "$($(A)"),
            ("\u{4e2d}$\u{6587}", "\u{4e2d}$\u{6587}"),
            ("echo $(MONEY)", "echo $(A) $$"),
        ];
        for (input, expected) in cases {
            assert_eq!(expand(input, lookup), Expanded::Text(expected.into()), "{input}");
        }
    }

    #[test]
    fn late_values_are_left_to_the_cloud_and_everything_else_is_escaped() {
        let cases = [
            ("http://$(IP):80", "http://$(IP):80"),
            ("$(A)$(IP)$$", "1$(IP)$$"),
            ("$(IP)$(MONEY)", "$(IP)$$(A) $$$$"),
            ("$(IP)$(NOPE)", "$(IP)$$(NOPE)"),
        ];
        for (input, expected) in cases {
            assert_eq!(expand(input, lookup), Expanded::Template(expected.into()), "{input}");
        }
    }

    #[test]
    fn final_texts_are_escaped_only_where_they_would_change() {
        let cases =
            [("echo $(date)", "echo $(date)"), ("$HOME $", "$HOME $"), ("$(A)", "$$(A)"), ("a$$b", "a$$$$b")];
        for (text, expected) in cases {
            assert_eq!(protect(text.into(), |name| name == "A"), expected, "{text}");
        }
    }

    proptest! {
        /// Whatever a final text is, the cloud's expansion of what we send shows exactly it.
        #[test]
        fn protecting_is_undone_by_expansion(text in "[$()A-C x]{0,24}") {
            let sent = protect(text.clone(), |name| name == "A");
            prop_assert_eq!(expand(&sent, lookup_only_a), Expanded::Text(text));
        }

        /// A template shows the same as expanding everything in one place would.
        #[test]
        fn templates_mean_the_same(input in "[$()AIP x]{0,24}") {
            let known_everywhere = |name: &str| match name { "IP" => Lookup::Text("10.0.0.1"), other => lookup(other) };
            let Expanded::Text(direct) = expand(&input, known_everywhere) else { unreachable!() };
            let there = |name: &str| match name { "IP" => Lookup::Text("10.0.0.1"), _ => Lookup::Unknown };
            match expand(&input, lookup) {
                Expanded::Text(text) => prop_assert_eq!(text, direct),
                Expanded::Template(template) => prop_assert_eq!(expand(&template, there), Expanded::Text(direct)),
            }
        }
    }

    fn lookup_only_a(name: &str) -> Lookup<'static> {
        if name == "A" { Lookup::Text("1") } else { Lookup::Unknown }
    }
}
