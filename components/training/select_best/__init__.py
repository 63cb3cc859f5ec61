"""The best of several candidates, on rows that none of them was trained on."""
