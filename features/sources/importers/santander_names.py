"""What the columns and codes of the Santander file mean.

Source: the data dictionary of Kaggle's "Santander Product Recommendation" (2016).
"""

PRODUCTS = (
    ("ind_ahor_fin_ult1", "Savings account", "储蓄账户", "accounts"),
    ("ind_aval_fin_ult1", "Guarantees", "担保", "loans"),
    ("ind_cco_fin_ult1", "Current account", "活期账户", "accounts"),
    ("ind_cder_fin_ult1", "Derivatives account", "衍生品账户", "investments"),
    ("ind_cno_fin_ult1", "Payroll account", "工资账户", "accounts"),
    ("ind_ctju_fin_ult1", "Junior account", "少儿账户", "accounts"),
    ("ind_ctma_fin_ult1", "Más particular account", "个人优享账户", "accounts"),
    ("ind_ctop_fin_ult1", "Particular account", "个人账户", "accounts"),
    ("ind_ctpp_fin_ult1", "Particular plus account", "个人尊享账户", "accounts"),
    ("ind_deco_fin_ult1", "Short-term deposit", "短期存款", "deposits"),
    ("ind_deme_fin_ult1", "Medium-term deposit", "中期存款", "deposits"),
    ("ind_dela_fin_ult1", "Long-term deposit", "长期存款", "deposits"),
    ("ind_ecue_fin_ult1", "E-account", "电子账户", "accounts"),
    ("ind_fond_fin_ult1", "Funds", "基金", "investments"),
    ("ind_hip_fin_ult1", "Mortgage", "住房按揭贷款", "loans"),
    ("ind_plan_fin_ult1", "Pension plan", "养老金计划", "investments"),
    ("ind_pres_fin_ult1", "Loan", "贷款", "loans"),
    ("ind_reca_fin_ult1", "Tax payments", "税款缴纳", "payments"),
    ("ind_tjcr_fin_ult1", "Credit card", "信用卡", "cards"),
    ("ind_valo_fin_ult1", "Securities", "证券", "investments"),
    ("ind_viv_fin_ult1", "Home account", "购房储蓄账户", "accounts"),
    ("ind_nomina_ult1", "Payroll", "代发工资", "payments"),
    ("ind_nom_pens_ult1", "Pension payments", "代发养老金", "payments"),
    ("ind_recibo_ult1", "Direct debit", "代扣代缴", "payments"),
)
"""Flag of the file, name, Chinese name, family; a flag's place is its bit."""

FLAGS = tuple(flag for flag, *_ in PRODUCTS)

PROFILE_COLUMNS = (
    "fecha_dato",
    "ncodpers",
    "ind_empleado",
    "pais_residencia",
    "sexo",
    "age",
    "fecha_alta",
    "ind_nuevo",
    "antiguedad",
    "indrel",
    "ult_fec_cli_1t",
    "indrel_1mes",
    "tiprel_1mes",
    "indresi",
    "indext",
    "conyuemp",
    "canal_entrada",
    "indfall",
    "tipodom",
    "cod_prov",
    "nomprov",
    "ind_actividad_cliente",
    "renta",
    "segmento",
)
"""The file's first 24 columns."""


def text(column: str) -> str:
    """SQL for a value of the file: trimmed, NULL where blank or NA."""
    return f"nullif(nullif(trim({column}), ''), 'NA')"


def number(column: str) -> str:
    """SQL for a number of the file, which writes 1 also as 1.0; NULL where it is none."""
    return f"TRY_CAST({text(column)} AS DOUBLE)"


_SEGMENT = (
    f"CASE left({text('segmento')}, 2) WHEN '01' THEN 'top' WHEN '02' THEN 'individuals' WHEN '03' THEN 'students' END"
)

PROFILE: dict[str, str] = {
    "gender": f"CASE {text('sexo')} WHEN 'V' THEN 'male' WHEN 'H' THEN 'female' END",  # varón, hembra
    "region": text("nomprov"),
    "tier": f"coalesce({_SEGMENT}, {text('segmento')})",
    "income": f"CASE WHEN {number('renta')} >= 0 THEN {number('renta')} END",
    "channel": text("canal_entrada"),
    "country": text("pais_residencia"),
    "employee": text("ind_empleado"),
    "relation": text("tiprel_1mes"),
    # '1', '1.0' and ' 1' are one code; P is a text
    "customer_type": f"coalesce(CAST(CAST({number('indrel_1mes')} AS INTEGER) AS VARCHAR), {text('indrel_1mes')})",
    "primary_customer": f"CASE {number('indrel')} WHEN 1 THEN 1 WHEN 99 THEN 0 END",
    "resident": f"CASE {text('indresi')} WHEN 'S' THEN 1 WHEN 'N' THEN 0 END",
    "foreign_born": f"CASE {text('indext')} WHEN 'S' THEN 1 WHEN 'N' THEN 0 END",
    "deceased": f"CASE {text('indfall')} WHEN 'S' THEN 1 WHEN 'N' THEN 0 END",
    "is_active": number("ind_actividad_cliente"),
}
"""Column of customers -> SQL over the file. A change in any of them makes a new version of the customer.

Left out: seniority and the new-customer flag (onboarded_on says both), the address type (always 1), the province's
number (its name is there), the last day as a primary customer (customer_type says it ended) and the spouse of an
employee (known of one row in ten thousand).
"""
