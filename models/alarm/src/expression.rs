//! Arithmetic over a pump's channels, parsed once and computed for each reading.
//!
//! An example: the pressure that the pump adds is
//!
//! ```text
//! Discharge_Pressure_bar - Suction_Pressure_bar
//! ```
//!
//! and how far its two bearings are apart is `abs("Bearing DE" - "Bearing NDE")`. The grammar:
//!
//! ```text
//! sum     = product { ("+" | "-") product }
//! product = factor { ("*" | "/") factor }
//! factor  = "-" factor | number | channel | "(" sum ")"
//!         | "abs" "(" sum ")" | ("min" | "max") "(" sum "," sum { "," sum } ")"
//! channel = letters, digits and "_"  |  any name between double quotes
//! ```
//!
//! The program is a list of operations on a stack of bounded depth, so computing it allocates nothing. Without a value
//! for one of its channels, and for a result that is no finite number (a division by zero), there is no result.

/// The text is not an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("at character {position}: {found}; allowed: {allowed}")]
pub struct ExpressionError {
    /// Where the mistake begins: the number of the character, from 1.
    pub position: usize,
    /// What is there.
    pub found: String,
    /// What is allowed there.
    pub allowed: String,
}

/// A parsed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expression {
    operations: Vec<Operation>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operation {
    Number(f64),
    Channel(usize),
    Negate,
    Abs,
    Add,
    Subtract,
    Multiply,
    Divide,
    Min,
    Max,
}

/// Bounds of an expression: characters, operations, and how deep parentheses, functions and signs may be nested.
const MAX_CHARS: usize = 500;
const MAX_OPERATIONS: usize = 100;
const MAX_NESTING: usize = 12;
/// The most values on the stack. Each level of nesting holds at most three: the first operand of a sum, that of a
/// product, and the smallest or largest argument so far.
const MAX_STACK: usize = 3 * (MAX_NESTING + 2);

impl Expression {
    /// Parses an expression over channels with these names, whose values are later passed in the same order.
    pub fn parse<'a>(text: &str, channels: impl IntoIterator<Item = &'a str>) -> Result<Self, ExpressionError> {
        let characters: Vec<char> = text.chars().collect();
        let channels = channels.into_iter().collect();
        let mut parser = Parser { characters, at: 0, channels, nesting: 0, operations: Vec::new() };
        if parser.characters.len() > MAX_CHARS {
            return Err(parser.error_at(MAX_CHARS, "the text goes on", "at most 500 characters"));
        }
        parser.sum()?;
        parser.skip_spaces();
        if parser.at < parser.characters.len() {
            return Err(parser.error("+, -, *, / or the end"));
        }
        Ok(Self { operations: parser.operations })
    }

    /// The indexes of its channels, in the order of their use, possibly several times.
    pub fn channels(&self) -> impl Iterator<Item = usize> {
        self.operations.iter().filter_map(|operation| match operation {
            Operation::Channel(channel) => Some(*channel),
            _ => None,
        })
    }

    /// Computes it. `value` returns a channel's value by its index. None without one of the values, or if the result
    /// is no finite number.
    pub fn compute(&self, value: impl Fn(usize) -> Option<f64>) -> Option<f64> {
        let mut stack = Stack { values: [0.0; MAX_STACK], len: 0 };
        for operation in &self.operations {
            let result = match *operation {
                Operation::Number(number) => number,
                Operation::Channel(channel) => value(channel)?,
                Operation::Negate => -stack.pop()?,
                Operation::Abs => stack.pop()?.abs(),
                Operation::Add => stack.pop_two().map(|(a, b)| a + b)?,
                Operation::Subtract => stack.pop_two().map(|(a, b)| a - b)?,
                Operation::Multiply => stack.pop_two().map(|(a, b)| a * b)?,
                Operation::Divide => stack.pop_two().map(|(a, b)| a / b)?,
                Operation::Min => stack.pop_two().map(|(a, b)| a.min(b))?,
                Operation::Max => stack.pop_two().map(|(a, b)| a.max(b))?,
            };
            // Checked at each step: `min(0 / 0, 1)` would hide it.
            if !result.is_finite() {
                return None;
            }
            stack.push(result)?;
        }
        stack.pop()
    }
}

struct Stack {
    values: [f64; MAX_STACK],
    len: usize,
}

impl Stack {
    fn push(&mut self, value: f64) -> Option<()> {
        *self.values.get_mut(self.len)? = value;
        self.len += 1;
        Some(())
    }

    fn pop(&mut self) -> Option<f64> {
        self.len = self.len.checked_sub(1)?;
        self.values.get(self.len).copied()
    }

    /// Returns the last two values in the order in which they were pushed.
    fn pop_two(&mut self) -> Option<(f64, f64)> {
        let second = self.pop()?;
        Some((self.pop()?, second))
    }
}

struct Parser<'a> {
    characters: Vec<char>,
    at: usize,
    channels: Vec<&'a str>,
    nesting: usize,
    operations: Vec<Operation>,
}

type Parsed = Result<(), ExpressionError>;

impl Parser<'_> {
    fn sum(&mut self) -> Parsed {
        self.product()?;
        loop {
            let operation = match self.peek() {
                Some('+') => Operation::Add,
                Some('-') => Operation::Subtract,
                _ => return Ok(()),
            };
            self.at += 1;
            self.product()?;
            self.push(operation)?;
        }
    }

    fn product(&mut self) -> Parsed {
        self.factor()?;
        loop {
            let operation = match self.peek() {
                Some('*') => Operation::Multiply,
                Some('/') => Operation::Divide,
                _ => return Ok(()),
            };
            self.at += 1;
            self.factor()?;
            self.push(operation)?;
        }
    }

    fn factor(&mut self) -> Parsed {
        let Some(first) = self.peek() else {
            return Err(self.error(&self.operands()));
        };
        match first {
            '-' => self.nested(|parser| {
                parser.at += 1;
                parser.factor()?;
                parser.push(Operation::Negate)
            }),
            '(' => self.nested(|parser| {
                parser.at += 1;
                parser.sum()?;
                parser.expect(')', "+, -, *, / or )")
            }),
            '"' => self.quoted_channel(),
            '0'..='9' | '.' => self.number(),
            _ if is_name(first) => self.name(),
            _ => Err(self.error(&self.operands())),
        }
    }

    /// Parses one level deeper, up to [`MAX_NESTING`].
    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.nesting == MAX_NESTING {
            return Err(self.error_at(self.at, "one level too many", "12 levels of parentheses, functions and signs"));
        }
        self.nesting += 1;
        parse(self)?;
        self.nesting -= 1;
        Ok(())
    }

    fn number(&mut self) -> Parsed {
        let start = self.at;
        let mut text = String::new();
        while let Some(&next) = self.characters.get(self.at) {
            let is_sign = matches!(next, '+' | '-') && text.ends_with(['e', 'E']);
            if !(next.is_ascii_digit() || matches!(next, '.' | 'e' | 'E') || is_sign) {
                break;
            }
            text.push(next);
            self.at += 1;
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => self.push(Operation::Number(number)),
            _ => Err(self.error_at(start, &format!("{text:?}"), "a number, such as 12, 0.5 or 1e3")),
        }
    }

    fn quoted_channel(&mut self) -> Parsed {
        let start = self.at;
        let rest = self.characters.get(start + 1..).unwrap_or_default();
        let Some(len) = rest.iter().position(|&character| character == '"') else {
            return Err(self.error_at(start, "an open quote", "a channel's name between double quotes"));
        };
        let name: String = rest.iter().take(len).collect();
        self.at = start + len + 2;
        self.channel(&name, start)
    }

    fn name(&mut self) -> Parsed {
        let start = self.at;
        let rest = self.characters.get(start..).unwrap_or_default();
        let name: String = rest.iter().copied().take_while(|&character| is_name(character)).collect();
        self.at += name.chars().count();
        if self.peek() != Some('(') {
            return self.channel(&name, start);
        }
        match name.as_str() {
            "abs" => self.nested(|parser| {
                parser.at += 1;
                parser.sum()?;
                parser.expect(')', "+, -, *, / or )")?;
                parser.push(Operation::Abs)
            }),
            "min" => self.nested(|parser| parser.arguments(Operation::Min)),
            "max" => self.nested(|parser| parser.arguments(Operation::Max)),
            _ => Err(self.error_at(start, &format!("{name:?}"), "the functions abs, min and max")),
        }
    }

    /// Parses the arguments of `min` or `max`, with the cursor at the parenthesis.
    fn arguments(&mut self, operation: Operation) -> Parsed {
        self.at += 1;
        self.sum()?;
        self.expect(',', "+, -, *, / or a comma and a further value")?;
        self.sum()?;
        self.push(operation)?;
        while self.peek() == Some(',') {
            self.at += 1;
            self.sum()?;
            self.push(operation)?;
        }
        self.expect(')', "+, -, *, /, a comma or )")
    }

    fn channel(&mut self, name: &str, start: usize) -> Parsed {
        match self.channels.iter().position(|channel| *channel == name) {
            Some(channel) => self.push(Operation::Channel(channel)),
            None => Err(self.error_at(start, &format!("{name:?}"), &self.operands())),
        }
    }

    fn push(&mut self, operation: Operation) -> Parsed {
        if self.operations.len() == MAX_OPERATIONS {
            return Err(self.error_at(self.at, "one part too many", "100 numbers, channels and operations"));
        }
        self.operations.push(operation);
        Ok(())
    }

    fn expect(&mut self, character: char, allowed: &str) -> Parsed {
        if self.peek() != Some(character) {
            return Err(self.error(allowed));
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_spaces();
        self.characters.get(self.at).copied()
    }

    fn skip_spaces(&mut self) {
        while self.characters.get(self.at).is_some_and(|character| character.is_whitespace()) {
            self.at += 1;
        }
    }

    fn operands(&self) -> String {
        format!("a number, -, (, abs, min, max, or one of the channels {}", self.channels.join(", "))
    }

    fn error(&self, allowed: &str) -> ExpressionError {
        let found = self.characters.get(self.at).map_or("the end".to_owned(), |character| format!("{character:?}"));
        self.error_at(self.at, &found, allowed)
    }

    fn error_at(&self, at: usize, found: &str, allowed: &str) -> ExpressionError {
        ExpressionError { position: at + 1, found: found.to_owned(), allowed: allowed.to_owned() }
    }
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHANNELS: [&str; 3] = ["a", "b_2", "Flow RateRMS"];

    fn compute(text: &str, values: [f64; 3]) -> Option<f64> {
        let expression = Expression::parse(text, CHANNELS).unwrap_or_else(|error| panic!("{text}: {error}"));
        expression.compute(|channel| Some(values[channel]).filter(|value| !value.is_nan()))
    }

    #[test]
    fn values_of_expressions() {
        for (text, expected) in [
            ("2", Some(2.0)),
            ("a", Some(5.0)),
            ("1 + 2 * 3", Some(7.0)),
            ("(1 + 2) * 3", Some(9.0)),
            ("10 - 4 - 3", Some(3.0)),
            ("24 / 4 / 2", Some(3.0)),
            ("2 - -a", Some(7.0)),
            ("-a * b_2", Some(-10.0)),
            ("--a", Some(5.0)),
            ("a-b_2", Some(3.0)),
            ("abs(b_2 - a)", Some(3.0)),
            ("min(a, b_2, 3)", Some(2.0)),
            ("max(a, b_2, 9, 1)", Some(9.0)),
            ("max(min(a, 3), 1 + 1)", Some(3.0)),
            ("\"Flow RateRMS\" / 1.5e1", Some(7.0)),
            ("1e-1+.5", Some(0.6)),
            (" ( a ) ", Some(5.0)),
            ("a / 0", None),
            ("min(0 / 0, 1)", None),
            ("1e308 * 10", None),
        ] {
            assert_eq!(compute(text, [5.0, 2.0, 105.0]), expected, "{text}");
        }
    }

    #[test]
    fn there_is_no_result_without_a_value() {
        assert_eq!(compute("a + b_2", [5.0, f64::NAN, 1.0]), None);
        assert_eq!(compute("a + 1", [5.0, f64::NAN, 1.0]), Some(6.0), "another channel is not needed");
    }

    #[test]
    fn mistakes_are_located() {
        let operands = "a number, -, (, abs, min, max, or one of the channels a, b_2, Flow RateRMS";
        let deep = format!("{}a{}", "(".repeat(13), ")".repeat(13));
        let long = format!("a{}", " ".repeat(500));
        let wide = vec!["a"; 51].join("+");
        for (text, position, found, allowed) in [
            ("", 1, "the end", operands),
            ("  ", 3, "the end", operands),
            ("a +", 4, "the end", operands),
            ("a + c", 5, "\"c\"", operands),
            ("a b_2", 3, "'b'", "+, -, *, / or the end"),
            ("a)", 2, "')'", "+, -, *, / or the end"),
            ("(a", 3, "the end", "+, -, *, / or )"),
            ("(a, b_2)", 3, "','", "+, -, *, / or )"),
            ("abs(a, 2)", 6, "','", "+, -, *, / or )"),
            ("min(a)", 6, "')'", "+, -, *, / or a comma and a further value"),
            ("min(a, 2", 9, "the end", "+, -, *, /, a comma or )"),
            ("sqrt(a)", 1, "\"sqrt\"", "the functions abs, min and max"),
            ("a + \"x\"", 5, "\"x\"", operands),
            ("a + \"x", 5, "an open quote", "a channel's name between double quotes"),
            ("a * 1.2.3", 5, "\"1.2.3\"", "a number, such as 12, 0.5 or 1e3"),
            ("1e999", 1, "\"1e999\"", "a number, such as 12, 0.5 or 1e3"),
            ("a ^ 2", 3, "'^'", "+, -, *, / or the end"),
            ("+a", 1, "'+'", operands),
            (&deep, 13, "one level too many", "12 levels of parentheses, functions and signs"),
            (&long, 501, "the text goes on", "at most 500 characters"),
            (&wide, 102, "one part too many", "100 numbers, channels and operations"),
        ] {
            let expected = ExpressionError { position, found: found.into(), allowed: allowed.into() };
            assert_eq!(Expression::parse(text, CHANNELS), Err(expected), "{text}");
        }
        let error = Expression::parse("a ^ 2", CHANNELS).expect_err("no power");
        assert_eq!(error.to_string(), "at character 3: '^'; allowed: +, -, *, / or the end");
    }

    #[test]
    fn deepest_expression_fits_the_stack() {
        let mut text = "1".to_owned();
        for _ in 0..MAX_NESTING {
            text = format!("max(1,1+1*{text})");
        }
        assert!(Expression::parse(&text, CHANNELS).is_ok(), "{text}");
        assert_eq!(compute(&text, [0.0; 3]), Some(13.0));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[ab_2+*/(),. \"minaxbs0-9-]{0,60}") {
            if let Ok(expression) = Expression::parse(&text, CHANNELS) {
                let result = expression.compute(|channel| Some(channel as f64 + 0.5));
                prop_assert!(result.is_none_or(f64::is_finite));
            }
        }
    }
}
