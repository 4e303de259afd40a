"""What each column of a table is: decided on evidence from all its rows, written as a contract, turned into dbt."""
