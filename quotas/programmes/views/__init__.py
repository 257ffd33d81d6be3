"""Pages of programmes: public.py for anybody, the others for those who run the centre."""
