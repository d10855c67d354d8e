"""Rules for PostgreSQL's errors in other languages, like those of `telemetry.privacy.database_errors` for English.

The words are those of its translations (https://www.postgresql.org/docs/current/nls-translator.html). Its sentences are
not known here, so everything after a label and between the quotes of these languages is removed.
"""
# ruff: noqa: RUF001  (letters of other alphabets)

import re

from telemetry.privacy.database_errors import END_OF_FIELD
from telemetry.privacy.rule import MASK, Rule, rule

_LINES = "ZEILE LIGNE LÍNEA RIGA LINHA СТРОКА 行 第 줄 LINIA RAD SATIR ŘÁDKA РЯДОК"
_LABELS = """
    DÉTAIL DETALLE DETTAGLI DETALHE ПОДРОБНОСТИ ДЕТАЛІ 詳細 描述 详细信息 SZCZEGÓŁY DETALJ AYRINTI 상세정보
    TIP ASTUCE SUGERENCIA SUGGERIMENTO DICA ПОДСКАЗКА ヒント 提示 PODPOWIEDŹ TIPS 힌트
    ZUSAMMENHANG CONTEXTE CONTEXTO CONTESTO КОНТЕКСТ 文脈 上下文 背景 KONTEXT KONTEKST BAĞLAM
    ANWEISUNG INSTRUCTION SENTENCIA ISTRUZIONE COMANDO ОПЕРАТОР 文 ステートメント 语句 SATS
    ANFRAGE REQUÊTE CONSULTA ЗАПРОС 問い合わせ クエリ 查询 FRÅGA ZAPYTANIE
"""
_ROWS = r"""(?:zeile\senthält
    | (?:ligne|fila|riga|registro|строка|wiersz)\s[^\n(]{0,30}(?:contient|contiene|contém|содержит|zawiera)
    | 行[^\n(]{0,20} )"""
_SHORT = 5
_BEGINNING = r"(?:^|(?<=\n)|(?<=\\n))"


def _one_of(words: str) -> str:
    return f"(?-i:{'|'.join(words.split())})"


FOREIGN_RULES: tuple[Rule, ...] = (
    rule(
        "statement of a database error, in any language",
        ["^", *(f"{word.lower()} " for word in _LINES.split()), "第"],
        rf"""({_BEGINNING}(?: {_one_of(_LINES)}\s?[0-9]{{1,9}}\s?(?:[:：]|行)
            | [^\W\d]{{1,12}}\s?[0-9]{{1,9}}\s?[:：](?=[^\n]{{1,4096}}\n\s*\^) ))(?!\s\*\*\*)[^\n]+""",
        rf"\1 {MASK}",
    ),
    rule(
        "field of a database error",
        [
            *(":  ", " : ", "："),
            *(f"{label.lower()}:" for label in _LABELS.split() if not label.isascii() or len(label) > _SHORT),
        ],
        rf"{_BEGINNING}({_one_of(_LABELS)}\s?[:：])(?!\s*\*\*\*).*?{END_OF_FIELD}",
        rf"\1 {MASK}",
        re.DOTALL,
    ),
    rule("key of a database error", [")=("], r"(\)=\()(?!\*\*\*)[^\n]*", rf"\1{MASK})"),
    rule(
        "row of a database error",
        ["zeile enthält", "contient", "contiene", "contém", "содержит", "zawiera", "行"],
        rf"({_ROWS}\s?\()(?!\*\*\*)[^\n]*",
        rf"\1{MASK})",
    ),
    rule(
        "name or value in a database error",
        ["«", "»", "„"],
        r"""[«»„][\x20\xa0\u202f]?\*\*\*[\x20\xa0\u202f]?[«»“”]
            | ([«»„][\x20\xa0\u202f]?)[^«»„“”\n]++([\x20\xa0\u202f]?[«»“”]|(?=\n)|\Z)""",
        lambda found: f"{found[1]}{MASK}{found[2]}" if found[1] else found[0],
    ),
    rule(
        "value in a database error",
        [': "', '："'],
        r"""([^\x00-\x7f][^"\n]{0,80}[:：]\s?)"(?!\*\*\*)[^\n]*""",
        rf'\1"{MASK}"',
    ),
)
