#!/bin/bash
# Runs once, when the database server is new: a login and a database for the
# roles of Holdfast, a login that may create its two databases for Temporal.
# `holdfast migrate` does the rest as the owner.
set -euo pipefail

: "${HOLDFAST_DATABASE_PASSWORD:?is empty; set it in .env}"
: "${TEMPORAL_DATABASE_PASSWORD:?is empty; set it in .env}"

psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres \
	-v holdfast_password="$HOLDFAST_DATABASE_PASSWORD" -v temporal_password="$TEMPORAL_DATABASE_PASSWORD" <<'SQL'
-- The attributes are those that the first migration gives these roles.
CREATE ROLE holdfast_app NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
CREATE ROLE holdfast_system NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT;
CREATE ROLE holdfast LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOINHERIT
	PASSWORD :'holdfast_password' IN ROLE holdfast_app, holdfast_system;
CREATE ROLE temporal LOGIN CREATEDB PASSWORD :'temporal_password';
CREATE DATABASE holdfast;
CREATE DATABASE temporal OWNER temporal;
CREATE DATABASE temporal_visibility OWNER temporal;
SQL
