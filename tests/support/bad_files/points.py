"""Lists of landmarks that must be refused."""

from __future__ import annotations

from support.bad_files.table import bad, good_image, save, text


@bad("points", "there is no file")
def missing_points(folder):
    return folder / "nowhere.csv"


@bad("points", "line 2: nan is not finite")
def points_with_nan(folder):
    return text(folder, "bad.csv", "1,2,3\n1,nan,3\n")


@bad("points", "line 3: the number of columns is 2")
def points_of_two_columns(folder):
    return text(folder, "bad.csv", "1,2,3\n\n4,5\n")


@bad("points", "line 1: the number of columns is 4")
def points_of_four_columns(folder):
    return text(folder, "bad.csv", "1,2,3,4\n")


@bad("points", "line 2: 'b' is not a number")
def points_with_words(folder):
    return text(folder, "bad.csv", "1,2,3\n4,b,6\n")


@bad("points", "no points")
def points_of_a_header_only(folder):
    return text(folder, "bad.csv", "x,y,z\n")


@bad("points", "line 3: the number of columns is 2, fewer than in the header")
def points_with_fewer_columns_than_the_header(folder):
    return text(folder, "bad.csv", "id,x,y,z\n1,2,3,4\n2,3\n")


@bad("points", "not text")
def image_for_points(folder):
    return save(folder, good_image())
