"""Texts of the list's languages stay; others go, however near their alphabet is."""

import dataclasses

import pytest

from xgen.core.errors import UserError
from xgen.core.types import Document
from xgen.filters.config import FilterConfig
from xgen.filters.language import language_filter
from xgen.filters.verdict import Drop

pytest.importorskip("py3langid", reason="needs the extra `data`")

KEPT = {
    "bg": "Влакът закъсня с двайсет минути, затова седнахме в малкото кафене до гарата и пихме чай.",
    "ca": "El tren arribava amb vint minuts de retard, així que vam seure al cafè de l'estació a prendre un te.",
    "cs": "Vlak měl dvacet minut zpoždění, a tak jsme si sedli do malé kavárny u nádraží a dali si čaj.",
    "da": "Toget var tyve minutter forsinket, så vi satte os på den lille café ved stationen og drak en kop te.",
    "de": "Der Zug hatte zwanzig Minuten Verspätung, also setzten wir uns in das kleine Café am Bahnhof.",
    "en": "The train was twenty minutes late, so we sat down in the small café by the station and had some tea.",
    "es": "El tren llegaba con veinte minutos de retraso, así que nos sentamos en la cafetería de la estación.",
    "fr": "Le train avait vingt minutes de retard, alors nous nous sommes assis au petit café de la gare.",
    "hu": "A vonat húsz percet késett, ezért leültünk az állomás melletti kis kávézóban, és teát ittunk.",
    "it": "Il treno aveva venti minuti di ritardo, così ci siamo seduti nel piccolo caffè vicino alla stazione.",
    "ja": "電車が二十分遅れていたので、私たちは駅のそばの小さな喫茶店に座ってお茶を飲みました。",
    "nl": "De trein had twintig minuten vertraging, dus gingen we in het kleine café bij het station zitten.",
    "pl": "Pociąg był spóźniony o dwadzieścia minut, więc usiedliśmy w małej kawiarni obok dworca.",
    "pt": "O comboio estava vinte minutos atrasado, por isso sentámo-nos no pequeno café junto à estação.",
    "ro": "Trenul avea o întârziere de douăzeci de minute, așa că ne-am așezat în mica cafenea de lângă gară.",
    "ru": "Поезд опаздывал на двадцать минут, поэтому мы сели в маленьком кафе у вокзала и выпили чаю.",
    "sl": "Vlak je zamujal dvajset minut, zato smo sedli v majhno kavarno ob postaji in popili čaj.",
    "sr": "Воз је каснио двадесет минута, па смо сели у мали кафић поред станице и попили чај.",
    "sv": "Tåget var tjugo minuter försenat, så vi satte oss på det lilla kaféet vid stationen och drack te.",
    "uk": "Потяг запізнювався на двадцять хвилин, тож ми сіли в маленькій кав'ярні біля вокзалу.",
    "zh": "火车晚点了二十分钟，所以我们在车站旁边的小咖啡馆里坐下来喝茶。",
}
DROPPED = {
    "ko": "기차가 이십 분 늦어서 우리는 역 옆에 있는 작은 카페에 앉아 차를 마셨습니다.",
    "tr": "Tren yirmi dakika gecikti, biz de istasyonun yanındaki küçük kafede oturup çay içtik.",
    "fi": "Juna oli kaksikymmentä minuuttia myöhässä, joten istuimme aseman pieneen kahvilaan juomaan teetä.",
    "el": "Το τρένο είχε καθυστέρηση είκοσι λεπτών, έτσι καθίσαμε στο μικρό καφέ δίπλα στον σταθμό.",
    "vi": "Tàu đến muộn hai mươi phút nên chúng tôi ngồi uống trà trong quán nhỏ cạnh nhà ga.",
    "ar": "تأخر القطار عشرين دقيقة، فجلسنا في المقهى الصغير بجانب المحطة وشربنا الشاي.",
}


def document(text: str) -> Document:
    return Document("it", "1", text, "CC0-1.0")


@pytest.fixture(scope="module")
def judge():
    return language_filter(FilterConfig())


@pytest.mark.parametrize("language", KEPT)
def test_a_text_in_a_language_of_the_list_stays(judge, language):
    assert judge(document(KEPT[language])) == document(KEPT[language])


@pytest.mark.parametrize("language", DROPPED)
def test_a_text_in_another_language_is_dropped(judge, language):
    assert judge(document(DROPPED[language])) == Drop("another language")


def test_only_the_beginning_is_read(judge):
    assert judge(document(KEPT["de"] * 40 + DROPPED["ko"] * 400)) != Drop("another language")


def test_the_list_is_the_recipes(judge):
    korean = language_filter(FilterConfig(languages=("ko",)))
    assert korean(document(DROPPED["ko"])) == document(DROPPED["ko"])
    assert korean(document(KEPT["en"])) == Drop("another language")


@pytest.mark.parametrize("languages", [(), ("en", "klingon")])
def test_a_list_that_cannot_be_met_is_refused(languages):
    with pytest.raises(UserError):
        language_filter(dataclasses.replace(FilterConfig(), languages=languages))
