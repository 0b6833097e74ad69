"""Levenshtein distance by the fastest package there is; the published code uses editdistance."""

try:
    from editdistance import eval as edits

    package = "editdistance"
except ImportError:
    try:
        from rapidfuzz.distance.Levenshtein import distance as edits

        package = "rapidfuzz"
    except ImportError:
        try:
            from Levenshtein import distance as edits

            package = "Levenshtein"
        except ImportError:
            package = "plain Python"

            def edits(left, right):
                row = list(range(len(right) + 1))
                for i, x in enumerate(left, 1):
                    diagonal, row[0] = row[0], i
                    for j, y in enumerate(right, 1):
                        diagonal, row[j] = row[j], min(
                            diagonal + (x != y), row[j] + 1, row[j - 1] + 1
                        )
                return row[-1]
