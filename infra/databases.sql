-- The services' databases, in a fresh PostgreSQL.
CREATE DATABASE mlflow;
CREATE DATABASE mlflow_users;
CREATE DATABASE prefect;
