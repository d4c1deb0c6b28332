-- A version counts changes. Columns that are generated have no value yet when the trigger
-- looks, so a device seemed to change with every write.
CREATE OR REPLACE FUNCTION holdfast_count_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF to_jsonb(NEW) - 'at_hand' IS DISTINCT FROM to_jsonb(OLD) - 'at_hand' THEN
    NEW.version := OLD.version + 1;
    NEW.updated_at := clock_timestamp();
  END IF;
  RETURN NEW;
END $$;
