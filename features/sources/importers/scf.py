"""What households hold, undated: the US Survey of Consumer Finances 2019, summary extract (SCFP2019, public domain).

The survey imputes each household five times; the first imputation is used, so a household is one customer. Amounts give
holdings away and race is nobody's business here: only the attributes named below are taken.
"""

from pathlib import Path

from rich.progress import Progress

from ...contracts import ACCOUNTS, CUSTOMERS
from ..values import quoted
from .reading import csv_relation, file_in
from .writing import importing

PRODUCTS = (
    ("HCHECK", "Checking account", "支票账户", "deposits"),
    ("HSAVING", "Savings account", "储蓄账户", "deposits"),
    ("HMMA", "Money market account", "货币市场账户", "deposits"),
    ("HCALL", "Call account at a broker", "证券商活期账户", "deposits"),
    ("HCDS", "Certificate of deposit", "定期存单", "deposits"),
    ("HNMMF", "Mutual fund", "共同基金", "investments"),
    ("HSTOCKS", "Stocks", "股票", "investments"),
    ("HBOND", "Bonds", "债券", "investments"),
    ("HSAVBND", "Savings bonds", "储蓄国债", "investments"),
    ("HBROK", "Brokerage account", "经纪账户", "investments"),
    ("HOTHMA", "Annuity or trust", "年金或信托", "investments"),
    ("HRETQLIQ", "Retirement account", "退休账户", "retirement"),
    ("HCASHLI", "Cash value life insurance", "现金价值寿险", "insurance"),
    ("HNH_MORT", "Mortgage on the home", "住房按揭贷款", "mortgages"),
    ("HRESDBT", "Mortgage on other property", "其他房产按揭贷款", "mortgages"),
    ("HHELOC", "Home equity line of credit", "房屋净值信贷额度", "credit lines"),
    ("HOTHLOC", "Other line of credit", "其他信贷额度", "credit lines"),
    ("HCCBAL", "Credit card balance", "信用卡透支", "credit lines"),
    ("HVEH_INST", "Vehicle loan", "汽车贷款", "loans"),
    ("HEDN_INST", "Education loan", "教育贷款", "loans"),
    ("HOTH_INST", "Other instalment loan", "其他分期贷款", "loans"),
    ("HBUS", "Business interest", "企业权益", "business"),
)
"""Flag of the survey, name, Chinese name, family."""

ATTRIBUTES = (
    "AGE",
    "HHSEX",
    "EDCL",
    "MARRIED",
    "KIDS",
    "LF",
    "OCCAT1",
    "OCCAT2",
    "INDCAT",
    "FAMSTRUCT",
    "LIFECL",
    "HOUSECL",
    "INCOME",
    "WAGEINC",
)
"""What is taken of a household; in lower case the names of customers' columns, INCOME being the contract's."""


def import_scf(source: Path, target: Path, progress: Progress | None = None) -> None:
    """Turn the folder `source` (``SCFP2019.csv.gz``) or that file into tables in `target`.

    Raises
    ------
    BadInput : when the file is missing or `target` holds something else
    """
    task = progress.add_task("Importing the survey", total=2) if progress else None
    with importing("scf", source, target) as work:
        path = file_in(source, "SCFP2019.csv.gz") if source.is_dir() else source
        flags = tuple(flag for flag, *_ in PRODUCTS)
        survey = csv_relation(path, ("YY1", "Y1", *flags, *ATTRIBUTES))
        columns = ", ".join(f"CAST({quoted(name)} AS DOUBLE) AS {quoted(name)}" for name in (*flags, *ATTRIBUTES))
        work.connection.execute(
            f"CREATE TABLE households AS SELECT YY1 AS customer_id, {columns} FROM {survey} "
            "WHERE CAST(Y1 AS BIGINT) % 10 = 1"
        )
        if progress and task is not None:
            progress.advance(task)
        attributes = ", ".join(f"{quoted(name)} AS {quoted(name.lower())}" for name in ATTRIBUTES)
        work.write(
            CUSTOMERS.name, f"SELECT customer_id, 'retail' AS kind, {attributes} FROM households ORDER BY customer_id"
        )
        work.write_products(PRODUCTS)
        work.write(
            ACCOUNTS.name,
            "SELECT customer_id || '-' || product_id AS account_id, customer_id, product_id FROM "
            f"(UNPIVOT households ON {', '.join(map(quoted, flags))} INTO NAME product_id VALUE held) WHERE held = 1 "
            "ORDER BY account_id",
        )
        if progress and task is not None:
            progress.advance(task)
