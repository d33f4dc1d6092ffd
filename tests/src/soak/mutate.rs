//! Random damage to the text of a graph: of tokens, lines, numbers, texts, nesting, tables, and whole parts that multiply.

use super::random::Random;
use super::words::{KEYS, NUMBERS, PUNCTUATION, TEXTS};

/// Damages a text in one to three places. `files` are paths that `extends` may be led to.
pub fn mutated(text: &str, files: &[String], random: &mut Random) -> Vec<u8> {
    let mut text = text.to_string();
    for _ in 0..random.size(3) {
        text = match random.below(24) {
            0..=6 => number(&text, random),
            7..=9 => token(&text, random),
            10..=12 => line(&text, random),
            13..=15 => value(&text, random),
            16 | 17 => table(&text, random),
            18 => extends(&text, files, random),
            19 => insert(&text, random),
            20 | 21 => multiply(&text, random),
            22 => many(&text, random),
            _ => swap_values(&text, random),
        };
        // what is far beyond the limit of a file says no more than what is just beyond it
        if text.len() > 3_000_000 {
            break;
        }
    }
    let mut bytes = text.into_bytes();
    if random.below(30) == 0 {
        for _ in 0..random.size(8) {
            let at = random.below(bytes.len() + 1);
            bytes.insert(at, random.draw() as u8);
        }
    }
    bytes
}

/// The stretches of letters and digits, and the single characters between them.
fn tokens(text: &str) -> Vec<(usize, usize)> {
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '.';
    let mut out: Vec<(usize, usize)> = Vec::new();
    let mut before = false;
    for (i, c) in text.char_indices() {
        match out.last_mut() {
            Some(last) if before && word(c) => last.1 = i + c.len_utf8(),
            _ => out.push((i, i + c.len_utf8())),
        }
        before = word(c);
    }
    out
}

fn replaced(text: &str, (start, end): (usize, usize), with: &str) -> String {
    format!("{}{with}{}", &text[..start], &text[end..])
}

fn token(text: &str, random: &mut Random) -> String {
    let all = tokens(text);
    if all.is_empty() {
        return random.pick(KEYS).to_string();
    }
    let at = all[random.below(all.len())];
    let own = text[at.0..at.1].to_string();
    let other = all[random.below(all.len())];
    let with = match random.below(9) {
        0 => String::new(),
        1 => format!("{own}{own}"),
        2 => text[other.0..other.1].to_string(),
        3 => random.pick(NUMBERS).to_string(),
        4 => random.pick(PUNCTUATION).to_string(),
        5 => random.pick(KEYS).to_string(),
        6 => own.chars().rev().collect(),
        7 => format!("\"{}\"", random.pick(TEXTS)),
        _ => own.chars().skip(1).collect(),
    };
    replaced(text, at, &with)
}

/// Another number in the place of one.
pub fn number(text: &str, random: &mut Random) -> String {
    let is_number = |(start, end): &(usize, usize)| text[*start..*end].parse::<f64>().is_ok();
    let all: Vec<(usize, usize)> = tokens(text).into_iter().filter(is_number).collect();
    if all.is_empty() {
        return token(text, random);
    }
    let at = all[random.below(all.len())];
    // as large as any that fits, or one of the odd ones
    let with = if random.below(3) == 0 { random.size(usize::MAX >> 1).to_string() } else { random.pick(NUMBERS).to_string() };
    replaced(text, at, &with)
}

fn line(text: &str, random: &mut Random) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    if lines.is_empty() {
        return text.to_string();
    }
    let (a, b) = (random.below(lines.len()), random.below(lines.len()));
    match random.below(6) {
        0 => drop(lines.remove(a)),
        1 => lines.insert(b, lines[a]),
        2 => lines.swap(a, b),
        3 => lines.truncate(a + 1),
        4 => drop(lines.drain(a.min(b)..a.max(b))),
        _ => {
            let own = lines.remove(a);
            lines.insert(random.below(lines.len() + 1), own);
        }
    }
    let text = lines.join("\n");
    // cut within a line, or with it
    if random.below(20) == 0 {
        let cut = random.below(text.len() + 1);
        return text.chars().take(cut).collect();
    }
    text + "\n"
}

/// Where values stand: behind a `=`, up to the end of the line.
fn values(text: &str) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    for (i, _) in text.match_indices('=') {
        let rest = &text[i + 1..];
        let end = rest.find(['\n', ',', '}']).unwrap_or(rest.len());
        out.push((i + 1, i + 1 + end));
    }
    out
}

fn value(text: &str, random: &mut Random) -> String {
    let all = values(text);
    if all.is_empty() {
        return text.to_string();
    }
    let at = all[random.below(all.len())];
    let own = text[at.0..at.1].to_string();
    let depth = random.size(150);
    let with = match random.below(8) {
        0 | 1 => random.pick(NUMBERS).to_string(),
        2 => format!("\"{}\"", random.pick(TEXTS)),
        3 => format!("{}{own}{}", "[".repeat(depth), "]".repeat(depth)),
        4 => format!("{}{own}{}", "{a=".repeat(depth), "}".repeat(depth)),
        5 => format!("[{}]", format!("{own},").repeat(random.size(30_000).min(1_500_000 / (own.len() + 1)))),
        6 => format!("\"{}\"", "x".repeat(random.size(400_000))),
        _ => format!("[{}, {}]", own, random.pick(NUMBERS)),
    };
    replaced(text, at, &format!(" {with}"))
}

fn swap_values(text: &str, random: &mut Random) -> String {
    let all = values(text);
    if all.len() < 2 {
        return text.to_string();
    }
    let (mut a, mut b) = (all[random.below(all.len())], all[random.below(all.len())]);
    if a.0 > b.0 {
        (a, b) = (b, a);
    }
    if a.1 > b.0 {
        return text.to_string();
    }
    let (first, second) = (text[a.0..a.1].to_string(), text[b.0..b.1].to_string());
    replaced(&replaced(text, b, &first), a, &second)
}

/// From one header to the next.
fn tables(text: &str) -> Vec<(usize, usize)> {
    let mut starts: Vec<usize> = text.match_indices("\n[").map(|(i, _)| i + 1).collect();
    starts.push(text.len());
    starts.windows(2).map(|w| (w[0], w[1])).collect()
}

/// A table that is gone, stands again, or stands many times under other names.
fn table(text: &str, random: &mut Random) -> String {
    let all = tables(text);
    if all.is_empty() {
        return text.to_string();
    }
    let at = all[random.below(all.len())];
    let own = &text[at.0..at.1];
    match random.below(3) {
        0 => replaced(text, at, ""),
        1 => format!("{text}\n{own}"),
        _ => {
            let count = random.size(3000).min(1_500_000 / own.len().max(1));
            let copies: String = (0..count).map(|i| own.replacen(']', &format!("{i}]"), 1)).collect();
            format!("{text}\n{copies}")
        }
    }
}

/// `extends` that leads somewhere else.
fn extends(text: &str, files: &[String], random: &mut Random) -> String {
    if files.is_empty() {
        return text.to_string();
    }
    let one = |random: &mut Random| format!("'{}'", files[random.below(files.len())]);
    let to = match random.below(3) {
        0 => format!("[{}]", (0..random.size(300)).map(|_| one(random)).collect::<Vec<_>>().join(", ")),
        _ => one(random),
    };
    match text.find("extends") {
        Some(at) if random.below(3) > 0 => {
            let end = text[at..].find('\n').map_or(text.len(), |i| at + i);
            replaced(text, (at, end), &format!("extends = {to}"))
        }
        _ => format!("extends = {to}\n{text}"),
    }
}

/// Something new at a place.
fn insert(text: &str, random: &mut Random) -> String {
    let all = tokens(text);
    let at = all.get(random.below(all.len())).map_or(0, |t| t.0);
    let new = match random.below(4) {
        0 => random.pick(PUNCTUATION).to_string(),
        1 => format!("\n{} = {}\n", random.pick(KEYS), random.pick(NUMBERS)),
        2 => format!("\n{} = \"{}\"\n", random.pick(KEYS), random.pick(TEXTS)),
        _ => random.pick(PUNCTUATION).repeat(random.size(200_000)),
    };
    replaced(text, (at, at), &new)
}

/// Parts that multiply what is written once.
fn multiply(text: &str, random: &mut Random) -> String {
    let levels = random.size(40);
    let each = |make: &dyn Fn(usize) -> String| (0..levels).map(make).collect::<String>();
    match random.below(5) {
        0 => {
            let values = each(&|i| format!("w{} = [\"$w{i}\", \"$w{i}\"]\n", i + 1));
            format!("{text}\n[values]\nw0 = [1, 2]\n{values}\n[published]\nx = \"$w{levels}\"\n[stages.more]\nmetrics = \"$w{levels}\"\n")
        }
        1 => {
            let apply = |i: usize| if i == 0 { "kind = 'view/normalize'".to_string() } else { format!("apply = 'w{}'", i - 1) };
            let group = |i: usize| {
                let nodes = format!("a = {{ {}, in = 'in.x' }}\nb = {{ {}, in = 'a.y' }}\n", apply(i), apply(i));
                format!("[groups.w{i}]\nin = ['x']\nout = {{ y = 'b.y' }}\n[groups.w{i}.nodes]\n{nodes}")
            };
            format!("{text}\n{}\n[stages.more.nodes]\nn = {{ apply = 'w{}', in = 'n.y' }}\n", each(&group), levels - 1)
        }
        2 => {
            let stages = each(&|i| format!("[stages.w{}]\nextends = ['w{i}', 'w{}']\n", i + 1, i.saturating_sub(1)));
            format!("{text}\n[stages.w0]\nmetrics = ['a.b']\n{stages}")
        }
        3 => {
            let axes: String = (0..random.size(24)).map(|i| format!("\"values.w{i}\" = [{}]\n", "1, ".repeat(random.size(1500)))).collect();
            format!("{text}\n[sweep]\n{axes}")
        }
        _ => {
            let count = random.size(1200);
            format!("{text}\n[sweep]\nseed = [{}]\n", (0..count).map(|i| i.to_string()).collect::<Vec<_>>().join(", "))
        }
    }
}

/// Very many of one thing.
fn many(text: &str, random: &mut Random) -> String {
    let count = random.size(60_000);
    let make: &dyn Fn(usize) -> String = match random.below(7) {
        0 => &|_| "= 1\n".to_string(),
        1 => &|i| format!("[x{i}]\n"),
        2 => &|i| format!("x{i} = {i}\n"),
        3 => &|i| format!("[models.x{i}]\nkind = 'backbone/r3d'\nwidth = 4\n"),
        4 => &|i| format!("[stages.x{i}]\nbatch = 1\n"),
        5 => &|i| format!("[stages.x.nodes.n{i}]\nkind = 'order/permutation'\nitems = 3\n"),
        _ => &|i| format!("[groups.x{i}]\nin = ['a']\n"),
    };
    let new: String = (0..count.min(40_000)).map(make).collect();
    format!("{text}\n{new}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_text_and_seeds_give_many() {
        let text = crate::TINY;
        let files = ["/dev/zero".to_string()];
        let all: Vec<Vec<u8>> = (0..300).map(|seed| mutated(text, &files, &mut Random::new(seed))).collect();
        assert_eq!(all[7], mutated(text, &files, &mut Random::new(7)));
        let different = all.iter().collect::<std::collections::HashSet<_>>().len();
        assert!(different > 280 && all.iter().filter(|t| *t == text.as_bytes()).count() < 15, "{different}");
    }
}
