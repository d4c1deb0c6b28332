-- Whoever looks for reservations that nobody gives back looks in all tenants.
SELECT holdfast_open_to_system('presence', 'SELECT');
SELECT holdfast_open_to_system('waiting', 'SELECT');
