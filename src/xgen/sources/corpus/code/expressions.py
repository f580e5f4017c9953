"""Read and evaluate arithmetic: a tokenizer and a parser by recursive descent, with one method for each rule."""

import re

TOKEN = re.compile(r"\s*(?:(\d+(?:\.\d*)?|\.\d+)|(.))")


def tokenize(text):
    """Split a text into numbers and single characters."""
    tokens = []
    for number, symbol in TOKEN.findall(text.rstrip()):
        if number:
            tokens.append(float(number))
        elif symbol in "+-*/^()":
            tokens.append(symbol)
        else:
            raise SyntaxError(f"unexpected '{symbol}'")
    return tokens


class Parser:
    """A cursor over tokens; each method reads one rule of the grammar and returns its value."""

    def __init__(self, tokens):
        """Start before the first token."""
        self.tokens = [*tokens, "end"]
        self.position = 0

    def accept(self, *symbols):
        """Step over the next token and return it if it is one of `symbols`; otherwise return None."""
        token = self.tokens[self.position]
        if token in symbols:
            self.position += 1
            return token
        return None

    def expression(self):
        """Read sums and differences, from left to right: term (("+" | "-") term)*."""
        value = self.term()
        while sign := self.accept("+", "-"):
            term = self.term()
            value = value + term if sign == "+" else value - term
        return value

    def term(self):
        """Read products and quotients, from left to right: power (("*" | "/") power)*."""
        value = self.power()
        while sign := self.accept("*", "/"):
            power = self.power()
            value = value * power if sign == "*" else value / power
        return value

    def power(self):
        """Read powers, from right to left: factor ("^" power)?."""
        base = self.factor()
        return base ** self.power() if self.accept("^") else base

    def factor(self):
        """Read a number, a negated factor or an expression in parentheses."""
        if self.accept("-"):
            return -self.factor()
        if self.accept("("):
            value = self.expression()
            if not self.accept(")"):
                raise SyntaxError("a parenthesis is not closed")
            return value
        token = self.tokens[self.position]
        if not isinstance(token, float):
            raise SyntaxError(f"expected a number, found '{token}'")
        self.position += 1
        return token


def evaluate(text):
    """Compute the value of an expression such as "2 * (3 + 4)"."""
    parser = Parser(tokenize(text))
    value = parser.expression()
    if not parser.accept("end"):
        raise SyntaxError("something follows the expression")
    return value
