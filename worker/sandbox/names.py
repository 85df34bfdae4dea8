"""Invented Danish (and some foreign) names for the seed. No real person or company is meant."""

FIRST = ["Søren", "Åse", "Mette", "Jørgen", "Birgitte", "Lærke", "Bjørn", "Æbbe", "Camilla", "Kåre", "Rasmus", "Dorthe"]
LAST = ["Østergaard", "Ågaard", "Nørregaard", "Skov Mikkelsen", "Bæk", "Lindstrøm", "Præstegaard", "van Houten"]
TRADES = ["Tømrer", "Bageri", "Møbelfabrik", "Revision", "Gartneri", "Trykkeri", "VVS", "Arkitekter", "Rederi", "Kaffe"]
PLACES = ["Åbenrå", "Ærø", "Ølgod", "Skagen", "Nyborg", "Holstebro", "Køge", "Ribe", "Sæby", "Tønder"]
FORMS = ["ApS", "A/S", "I/S", "", "P/S"]
STREETS = ["Ågade", "Østergade", "Nørre Allé", "Ved Sønderport", "Kærvej", "Havnepladsen"]
CITIES = [
    ("6200", "Aabenraa"),
    ("5970", "Ærøskøbing"),
    ("6870", "Ølgod"),
    ("9990", "Skagen"),
    ("1000", "København K"),
    ("8000", "Aarhus C"),
]
FOREIGN = [
    ("Nordlys Bygg AS", "0150", "Oslo", "Norway", "NOK", 3),
    ("Björkö Trä AB", "111 22", "Stockholm", "Sverige", "SEK", 2),
    ("Hafenkontor GmbH", "20095", "Hamburg", "Tyskland", "EUR", 2),
    ("Weißer Anker KG", "D-24937", "Flensburg", "Germany", "EUR", 2),
]
PRODUCTS = [
    ("Konsulenttime", "Time", "895.00", 3),
    ("Projektledelse", "Time", "1095.50", 3),
    ("Kørsel", "km", "3.79", 1),
    ("Smørrebrød, håndmad", "stk.", "28.00", 1),
    ("Ærtesuppe 5 l", "stk.", "149.95", 1),
    ("Blåbærgrød", "kg", "64.25", 1),
    ("Egetræsplade 2 m", "stk.", "1249.00", 1),
    ("Lønadministration", "md.", "350.00", 3),
    ("Undervisning, momsfri", "Time", "625.00", 4),
    ("Porto", "stk.", "12.00", 2),
    ("Licens pr. bruger", "md.", "99.00", 3),
    ("Søkabel 10 m", "stk.", "415.35", 1),
]
ODD_NUMBERS = ["A/B 1", "æble.rød", "KØR/2025.1", "99999", "My Product_5%", "01CF8D2E-A6A6-4", "x:y&z+w", "Ø#1?"]
HEADINGS = ["Arbejde udført i {month}", "Ordre {number}", "Levering af varer", "Tilbud 17/æ", "Á conto"]
MONTHS = ["januar", "februar", "marts", "april", "maj", "juni", "juli", "august", "september", "oktober", "november"]
