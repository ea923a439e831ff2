"""Did this treatment change the patients' immune cells?"""
